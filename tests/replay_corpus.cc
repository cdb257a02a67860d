// What a fuzz target has learned, run again: each file of the folders that are named goes through
// LLVMFuzzerTestOneInput once. The landing gate uses this (any compiler, no chance in it);
// tools/fuzz and tools/explore look for new inputs.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int main(int argc, char** argv) {
  std::set<std::filesystem::path> inputs;  // sorted: the same order each time
  for (int i = 1; i < argc; ++i) {
    if (!std::filesystem::is_directory(argv[i])) {
      std::fprintf(stderr, "replay: %s is no folder\n", argv[i]);
      return 64;
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i]))
      if (entry.is_regular_file()) inputs.insert(entry.path());
  }
  LLVMFuzzerTestOneInput(nullptr, 0);
  for (const auto& path : inputs) {
    std::printf("%s\n", path.c_str());  // the last line names the input that broke it
    std::fflush(stdout);
    std::ifstream file(path, std::ios::binary);
    const std::vector<char> octets{std::istreambuf_iterator<char>(file), {}};
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(octets.data()), octets.size());
  }
  if (inputs.empty()) std::fprintf(stderr, "replay: no input in the folders named\n");
  return inputs.empty() ? 1 : 0;
}
