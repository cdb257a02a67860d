// Files of the spool that are taken away while they are in use: removed by a clean-up job or
// replaced by restored copies, moved with their folder, or covered by a file system that is mounted
// late. An open file goes on taking writes then, but no restart finds them.
#include "waypost/ops/log.h"

#include "spool/log.h"

#include <algorithm>

namespace waypost::spool {
namespace {

// Looked up for each batch it would cost a tenth of the time to 250. What was written meanwhile is
// still open, and moved on when it is missed.
constexpr std::chrono::milliseconds kFoundFor{50};

std::string words_for(const std::string& path, File::Place place) {
  if (place == File::Place::removed)
    return path +
           " was removed while waypost uses it: what it holds is being written to another file, "
           "and "
           "no mail is taken until then; find out what removes files there";
  return path +
         " is not the file that waypost uses: it was renamed, its folder was moved, or something "
         "was "
         "mounted over it; no mail is taken. Put it back before waypost is stopped, else the next "
         "start does not find the mail in it";
}

}  // namespace

std::string Log::displaced_why() const {
  const std::lock_guard lock(reason_mutex_);
  return displaced_why_;
}

bool Log::in_its_place(Segment& segment) {
  segment.place = segment.file->place();
  return segment.place == File::Place::its_own;
}

/// What a restart must find: mail, or where the next batch goes.
bool Log::matters(const Segment& segment) const {
  return &segment == active_ ||
         (segment.state == Segment::State::sealed && segment.live_pieces > 0);
}

void Log::judge_places() {
  std::string why;
  elsewhere_ = false;
  for (const auto& segment : segments_) {
    if (!segment->file) continue;
    const File::Place before = segment->place;
    if (in_its_place(*segment) || !matters(*segment)) continue;
    const bool elsewhere = segment->place == File::Place::elsewhere;
    // To put back comes first: nothing else can be done meanwhile.
    if (why.empty() || (elsewhere && !elsewhere_))
      why = words_for(path(segment->number), segment->place);
    elsewhere_ = elsewhere_ || elsewhere;
    if (before != segment->place && !elsewhere)
      ops::log().error("spool: {}", words_for(path(segment->number), segment->place));
  }
  const std::lock_guard lock(reason_mutex_);
  displaced_.store(!why.empty(), std::memory_order_relaxed);
  displaced_why_ = std::move(why);
}

void Log::look_at_places() {
  judge_places();
  const auto is_removed = [](const auto& one) {
    return one->file && one->place == File::Place::removed;
  };
  if (std::none_of(segments_.begin(), segments_.end(), is_removed)) return;
  if (active_ != nullptr && active_->place == File::Place::removed) seal_active();
  {
    const std::unique_lock lock(segments_mutex_);
    for (const auto& segment : segments_) {
      if (is_removed(segment) && segment->state == Segment::State::spare) segment->file.reset();
    }
  }
  count_segments();
  list_changed_ = true;  // the list may be gone as well
  look_for_free_ = true;
  released_octets_ = options_.segment_octets;  // as if much had been freed: somebody moves on
}

Segment* Log::choose_removed() const {
  for (const auto& segment : segments_) {
    if (segment->state == Segment::State::sealed && segment->place == File::Place::removed &&
        !segment->unmovable && (segment->live_pieces != 0 || !segment->refers.empty()))
      return segment.get();
  }
  return nullptr;
}

Result<> Log::found_again(const Batch& batch) {
  const bool ends_only = batch.placed.empty() && batch.moves.empty() && batch.relogged.empty() &&
                         !batch.settled.empty();
  if (ends_only) return {};  // if they are lost recipients are open again, no more
  if (now_ - found_at_ < kFoundFor) return {};
  const auto in_place = [](const Segment& segment) {
    return segment.file->place() == File::Place::its_own;
  };
  bool sound = in_place(*active_);
  for (const Batch::Placed& placed : batch.placed) {
    if (placed.request->kind != Request::Kind::message) continue;
    for (const Extent& extent : static_cast<const MessageRequest&>(*placed.request).extents) {
      Segment* home = by_sequence(extent.sequence);
      if (home != nullptr && home != active_ && home->file) sound = sound && in_place(*home);
    }
  }
  if (sound) {
    found_at_ = now_;
    return {};
  }
  judge_places();
  return fail(ErrorKind::io, displaced() ? displaced_why()
                                         : "a file of the spool was removed while it was written");
}

}  // namespace waypost::spool
