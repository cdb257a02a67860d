// A disk in memory that loses, tears and fails what a real one may: for tests only.
//
// Any thread. Written octets are visible at once and durable after a sync. crash() keeps of the
// unsynced writes any subset, by page or by octet, as its generator decides.
#pragma once

#include "waypost/base/disk.h"

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <random>
#include <set>

namespace waypost {

class FaultDisk final : public Disk {
 public:
  enum class Fault { none, io, full };

  /// Operation number `nth` (counted from 1 over writes, syncs, allocations, directory changes)
  /// fails.
  void fail_operation(std::uint64_t nth, Fault how) {
    const std::lock_guard lock(mutex_);
    fail_at_ = nth;
    fault_ = how;
  }
  /// From this operation on nothing reaches the disk any more, as after a power cut.
  void stop_at(std::uint64_t nth) {
    const std::lock_guard lock(mutex_);
    stop_at_ = nth;
  }
  std::uint64_t operations() const {
    const std::lock_guard lock(mutex_);
    return operations_;
  }
  void restart_counting() {
    const std::lock_guard lock(mutex_);
    operations_ = fail_at_ = stop_at_ = 0;
    fault_ = Fault::none;
  }
  /// While it lasts, syncs of files wait.
  void hang_syncs(bool hang) {
    const std::lock_guard lock(mutex_);
    hang_ = hang;
    hanging_.notify_all();
  }
  /// Of this file; others, such as lists that a worker writes, may hang beside it.
  void wait_for_hanging_sync(const std::string& path) {
    std::unique_lock lock(mutex_);
    hanging_.wait(lock, [&] {
      const auto node = nodes_.find(path);
      return node != nodes_.end() && waiting_syncs_.contains(node->second.get());
    });
  }
  /// While it lasts, whatever takes space fails; syncs succeed.
  void set_full(bool full) {
    const std::lock_guard lock(mutex_);
    full_ = full;
  }
  /// While it lasts every write, or every read, fails, as of a disk that has died.
  void set_dead(bool writes, bool reads) {
    const std::lock_guard lock(mutex_);
    dead_writes_ = writes;
    dead_reads_ = reads;
  }
  /// From now on reads that touch these octets of a file fail, as of a bad sector.
  void fail_reads(const std::string& path, std::uint64_t offset, std::uint64_t octets) {
    const std::lock_guard lock(mutex_);
    nodes_.at(path)->unreadable.emplace_back(offset, octets);
  }
  void set_free(std::uint64_t octets) {
    const std::lock_guard lock(mutex_);
    free_ = octets;
  }

  /// What an operator or a clean-up job does to a file that is open.
  void take_away(const std::string& path) {
    const std::lock_guard lock(mutex_);
    nodes_.erase(path);
  }
  /// A file of the same content under the same name, as a restored copy is.
  void replace_by_copy(const std::string& path) {
    const std::lock_guard lock(mutex_);
    nodes_.at(path) = std::make_shared<Node>(*nodes_.at(path));
  }
  /// While it lasts all names lead elsewhere, as when the folder was moved or something was mounted
  /// over it: a new file does not come back with the old ones.
  void hide(bool hidden) {
    const std::lock_guard lock(mutex_);
    if (hidden) {
      hidden_ = std::exchange(nodes_, {});
    } else {
      nodes_ = std::exchange(hidden_, {});
    }
  }

  /// An empty disk again.
  void forget() {
    const std::lock_guard lock(mutex_);
    nodes_.clear();
    changes_.clear();
  }

  /// True once nothing reaches the disk any more.
  bool power_gone() const {
    const std::lock_guard lock(mutex_);
    return stopped();
  }

  /// What the machine finds after the power comes back.
  void crash(std::mt19937_64& random) {
    const std::lock_guard lock(mutex_);
    // A directory that was not synced may have forgotten what was done in it, the last first. What
    // was done later with the same name and is remembered stands.
    for (; !changes_.empty(); changes_.pop_back()) {
      const Change& change = changes_.back();
      if (random() % 2 != 0) continue;
      if (const auto came = nodes_.find(change.to);
          came != nodes_.end() && came->second == change.node) {
        nodes_.erase(came);
        if (change.replaced) nodes_[change.to] = change.replaced;
      }
      if (!change.from.empty()) nodes_.try_emplace(change.from, change.node);
    }
    for (auto& [path, node] : nodes_) {
      std::string kept = node->durable;
      if (kept.size() < node->seen.size()) kept.resize(node->seen.size(), '\0');
      const std::size_t unit = random() % 3 == 0 ? 1 : 4096;
      for (const auto* ranges : {&node->doubtful, &node->unsynced}) {
        for (const auto& [offset, octets] : *ranges) {
          keep_some(*node, kept, offset, octets, unit, random);
        }
      }
      node->seen = node->durable = std::move(kept);
      node->unsynced.clear();
      node->doubtful.clear();
    }
    operations_ = fail_at_ = stop_at_ = 0;
    fault_ = Fault::none;
  }

  /// What was changed through bytes() is on the disk.
  void keep_changes() {
    const std::lock_guard lock(mutex_);
    for (auto& [path, node] : nodes_) node->durable = node->seen;
  }
  std::string* bytes(const std::string& path) {
    const std::lock_guard lock(mutex_);
    const auto found = nodes_.find(path);
    if (found == nodes_.end()) return nullptr;
    found->second->durable = found->second->seen;
    return &found->second->seen;
  }
  std::vector<std::string> paths() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> all;
    for (const auto& [path, node] : nodes_) all.push_back(path);
    return all;
  }

  Result<std::unique_ptr<File>> open(const std::string& path, bool create,
                                     unsigned /*mode*/ = 0600) override {
    const std::lock_guard lock(mutex_);
    auto found = nodes_.find(path);
    if (found == nodes_.end()) {
      if (!create) return fail(ErrorKind::not_found, path + " does not exist");
      if (auto turn = step(true); !turn) return fail(turn.error());
      found = nodes_.emplace(path, std::make_shared<Node>()).first;
      changes_.push_back({"", path, found->second});
    }
    return std::make_unique<MemoryFile>(*this, found->second, path);
  }
  Result<std::vector<std::string>> list(const std::string& directory) override {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> names;
    for (const auto& [path, node] : nodes_) {
      if (!path.starts_with(directory + "/")) continue;
      const auto name = path.substr(directory.size() + 1);
      if (name.find('/') == std::string::npos) names.push_back(name);
    }
    return names;
  }
  Result<> make_directory(const std::string&) override { return {}; }
  Result<> rename(const std::string& from, const std::string& to) override {
    const std::lock_guard lock(mutex_);
    if (auto turn = step(); !turn || stopped()) return turn;
    auto node = nodes_.extract(from);
    if (!node.empty()) {
      // What bore that name goes, in the same moment.
      auto replaced = nodes_.extract(to);
      changes_.push_back({from, to, node.mapped(), replaced.empty() ? nullptr : replaced.mapped()});
      node.key() = to;
      nodes_.insert(std::move(node));
    }
    return {};
  }
  Result<> remove(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    if (auto turn = step(); !turn || stopped()) return turn;
    if (auto node = nodes_.extract(path); !node.empty()) {
      changes_.push_back({path, "", node.mapped()});
    }
    return {};
  }
  Result<> sync_directory(const std::string& directory) override {
    const std::lock_guard lock(mutex_);
    const auto turn = step();
    if (!turn || stopped()) return turn;
    // Of a move between two directories one end may be on the disk and the other not.
    for (Change& change : changes_) {
      if (folder_of(change.to) == directory) change.to.clear();
      if (folder_of(change.from) == directory) change.from.clear();
    }
    std::erase_if(changes_, [](const Change& c) { return c.to.empty() && c.from.empty(); });
    return turn;
  }
  Result<std::uint64_t> free_octets(const std::string&) override {
    const std::lock_guard lock(mutex_);
    return free_;
  }
  Result<std::shared_ptr<void>> lock(const std::string&) override {
    return std::make_shared<int>(0);
  }

 private:
  struct Node {
    std::string seen, durable;
    std::vector<std::pair<std::size_t, std::size_t>> unsynced;
    std::vector<std::pair<std::size_t, std::size_t>> doubtful;  // their sync has failed
    std::vector<std::pair<std::uint64_t, std::uint64_t>> unreadable;
  };
  /// A name that came, went or moved since its directory was synced; of a move either end may be
  /// synced before the other.
  struct Change {
    std::string from, to;
    std::shared_ptr<Node> node;
    std::shared_ptr<Node> replaced = {};
  };

  class MemoryFile final : public File {
   public:
    MemoryFile(FaultDisk& disk, std::shared_ptr<Node> node, std::string path)
        : disk_(disk), node_(std::move(node)), path_(std::move(path)) {}
    Result<> write_at(std::uint64_t offset, std::span<const iovec> from) override {
      const std::lock_guard lock(disk_.mutex_);
      std::string all;
      for (const iovec& piece : from) {
        all.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
      }
      auto turn = disk_.step(true);
      if (disk_.stopped()) return turn;
      if (disk_.dead_writes_) return fail(ErrorKind::io, "the disk is dead");
      if (!turn) all.resize(all.size() / 2);  // a failed write may have written some of it
      if (node_->seen.size() < offset + all.size()) node_->seen.resize(offset + all.size(), '\0');
      std::copy(all.begin(), all.end(), node_->seen.begin() + static_cast<std::ptrdiff_t>(offset));
      node_->unsynced.emplace_back(offset, all.size());
      return turn;
    }
    Result<std::size_t> read_at(std::uint64_t offset, std::span<char> into) override {
      const std::lock_guard lock(disk_.mutex_);
      if (disk_.dead_reads_) return fail(ErrorKind::io, "the disk is dead");
      for (const auto& [bad, octets] : node_->unreadable) {
        if (bad < offset + into.size() && offset < bad + octets) {
          return fail(ErrorKind::io, "bad sector");
        }
      }
      if (offset >= node_->seen.size()) return std::size_t{0};
      return node_->seen.copy(into.data(), into.size(), offset);
    }
    /// As on Linux: after a failed sync its octets count as written, and no later sync tries again.
    Result<> sync_data() override {
      std::unique_lock lock(disk_.mutex_);
      disk_.waiting_syncs_.insert(node_.get());
      disk_.hanging_.notify_all();
      disk_.hanging_.wait(lock, [this] { return !disk_.hang_; });
      disk_.waiting_syncs_.erase(disk_.waiting_syncs_.find(node_.get()));
      const auto turn = disk_.step();
      if (disk_.stopped()) return turn;
      for (const auto& [offset, octets] : node_->unsynced) {
        if (turn) copy_range(node_->seen, node_->durable, offset, octets);
        if (!turn) node_->doubtful.emplace_back(offset, octets);
      }
      node_->unsynced.clear();
      return turn;
    }
    void forget_cached() override {
      const std::lock_guard lock(disk_.mutex_);
      if (disk_.stopped()) return;
      std::string on_disk = node_->durable;
      on_disk.resize(std::max(on_disk.size(), node_->seen.size()));
      for (const auto& [offset, octets] : node_->unsynced) {
        copy_range(node_->seen, on_disk, offset, octets);
      }
      node_->seen = std::move(on_disk);
      node_->doubtful.clear();
    }
    Result<> preallocate(std::uint64_t octets) override {
      const std::lock_guard lock(disk_.mutex_);
      const auto turn = disk_.step(true);
      if (!turn || disk_.stopped()) return turn;
      if (node_->seen.size() < octets) node_->seen.resize(octets, '\0');
      node_->durable.resize(node_->seen.size(), '\0');
      return {};
    }
    Result<std::uint64_t> size() override {
      const std::lock_guard lock(disk_.mutex_);
      return node_->seen.size();
    }
    Place place() override {
      const std::lock_guard lock(disk_.mutex_);
      const auto named = disk_.nodes_.find(path_);
      if (named != disk_.nodes_.end() && named->second == node_) return Place::its_own;
      for (const auto* names : {&disk_.nodes_, &disk_.hidden_}) {
        for (const auto& [path, node] : *names) {
          if (node == node_) return Place::elsewhere;
        }
      }
      return Place::removed;
    }

   private:
    FaultDisk& disk_;
    std::shared_ptr<Node> node_;
    std::string path_;
  };

  static std::string folder_of(const std::string& path) {
    return path.empty() ? "" : path.substr(0, path.rfind('/'));
  }

  static void copy_range(const std::string& from, std::string& to, std::size_t offset,
                         std::size_t octets) {
    if (to.size() < offset + octets) to.resize(offset + octets, '\0');
    std::copy_n(from.begin() + static_cast<std::ptrdiff_t>(offset), octets,
                to.begin() + static_cast<std::ptrdiff_t>(offset));
  }

  static void keep_some(const Node& node, std::string& kept, std::size_t offset, std::size_t octets,
                        std::size_t unit, std::mt19937_64& random) {
    const std::uint64_t style = random() % 4;  // all, none, any subset (twice as likely)
    for (std::size_t at = offset; at < offset + octets;) {
      const std::size_t end = std::min((at / unit + 1) * unit, offset + octets);
      if (style == 0 || (style >= 2 && random() % 2 == 0)) {
        std::copy(node.seen.begin() + static_cast<std::ptrdiff_t>(at),
                  node.seen.begin() + static_cast<std::ptrdiff_t>(end),
                  kept.begin() + static_cast<std::ptrdiff_t>(at));
      }
      at = end;
    }
  }

  bool stopped() const { return stop_at_ != 0 && operations_ >= stop_at_; }
  Result<> step(bool takes_space = false) {
    ++operations_;
    if (stopped()) return fail(ErrorKind::io, "the power is gone");
    if (full_ && takes_space) return fail(ErrorKind::exhausted, "no space left");
    if (fault_ != Fault::none && operations_ == fail_at_) {
      return fail(fault_ == Fault::full ? ErrorKind::exhausted : ErrorKind::io, "made to fail");
    }
    return {};
  }

  mutable std::mutex mutex_;
  std::condition_variable hanging_;
  bool hang_ = false;
  std::multiset<const Node*> waiting_syncs_;
  std::map<std::string, std::shared_ptr<Node>> nodes_, hidden_;
  std::vector<Change> changes_;
  std::uint64_t operations_ = 0, fail_at_ = 0, stop_at_ = 0;
  Fault fault_ = Fault::none;
  bool full_ = false;
  bool dead_writes_ = false, dead_reads_ = false;
  std::uint64_t free_ = std::uint64_t{1} << 40;
};

}  // namespace waypost
