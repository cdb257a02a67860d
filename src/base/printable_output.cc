#include "waypost/base/printable_output.h"

#include "waypost/base/printable.h"
#include "waypost/base/result.h"

#include <cerrno>
#include <iostream>
#include <streambuf>
#include <string>

namespace waypost {

class PrintableOutput::Filter final : public std::streambuf {
 public:
  explicit Filter(std::streambuf* to) : to_(to) {}
  bool used() const { return used_; }
  int error() const { return error_; }

 protected:
  int_type overflow(int_type c) override {
    if (traits_type::eq_int_type(c, traits_type::eof())) return traits_type::not_eof(c);
    const char octet = traits_type::to_char_type(c);
    return xsputn(&octet, 1) == 1 ? c : traits_type::eof();
  }
  std::streamsize xsputn(const char* text, std::streamsize size) override {
    used_ = used_ || size > 0;
    text_.append(text, static_cast<std::size_t>(size));
    return pass_on(whole()) ? size : 0;
  }
  int sync() override {
    if (!pass_on(text_.size())) return -1;
    errno = 0;
    return note(to_->pubsync() == 0) ? 0 : -1;
  }

 private:
  /// Octets before a character that has only begun.
  std::size_t whole() const {
    for (std::size_t back = 1; back <= 3 && back <= text_.size(); ++back) {
      const auto c = static_cast<unsigned char>(text_[text_.size() - back]);
      if (c < 0x80) break;
      if (c < 0xC0) continue;
      const std::size_t length = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
      return back < length ? text_.size() - back : text_.size();
    }
    return text_.size();
  }
  bool pass_on(std::size_t size) {
    const std::string out = printable(std::string_view(text_).substr(0, size));
    text_.erase(0, size);
    errno = 0;
    return note(to_->sputn(out.data(), static_cast<std::streamsize>(out.size())) ==
                static_cast<std::streamsize>(out.size()));
  }
  bool note(bool good) {
    if (!good && error_ == 0) error_ = errno != 0 ? errno : EIO;
    return good;
  }

  std::streambuf* to_;
  std::string text_;
  bool used_ = false;
  int error_ = 0;
};

PrintableOutput::PrintableOutput(std::ostream& stream)
    : stream_(stream),
      filter_(std::make_unique<Filter>(stream.rdbuf())),
      before_(stream.rdbuf(filter_.get())) {}

PrintableOutput::~PrintableOutput() {
  stream_.flush();
  stream_.rdbuf(before_);
}

int PrintableOutput::finish() {
  stream_.flush();
  return filter_->error();
}

bool PrintableOutput::used() const { return filter_->used(); }

int exit_code_after(PrintableOutput& output, const DescriptorsAtStart& start,
                    std::string_view program, int exit_code) {
  constexpr int kExitIoError = 74;
  int error = output.finish();
  if (error == 0 && output.used() && !start.output_was_open) error = EBADF;
  if (error == 0) return exit_code;
  std::cerr << program << ": standard output can't be written: " << describe_errno(error)
            << ". What came out is not whole: don't use it. Apart from that the command ended with "
               "exit code "
            << exit_code << "\n";
  return kExitIoError;
}

}  // namespace waypost
