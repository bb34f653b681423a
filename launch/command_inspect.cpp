// breakeven inspect: shows what a path holds.
#include <filesystem>

#include "launch/command.h"
#include "launch/inspect.h"

namespace breakeven {
namespace {

namespace fs = std::filesystem;

std::string Inspect(const CommandOptions& options) {
  std::string path = options.path;
  if (fs::path(path).filename() == "latest") path = ResolveModelPath(path);
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) throw Error(ErrorKind::kBadData, path + ": no such file or folder");
  if (fs::is_directory(status)) {
    const fs::path folder(path);
    if (fs::exists(folder / "config.json") || fs::exists(folder / "tokenizer.json")) {
      return InspectModelFolder(path, options);
    }
    if (fs::exists(folder / "checkpoints") || fs::exists(folder / "metrics.jsonl")) {
      return InspectRunFolder(path, options);
    }
    throw Error(ErrorKind::kUsage,
                path +
                    ": a folder with neither config.json nor tokenizer.json (a model) nor "
                    "checkpoints/ or metrics.jsonl (a run)");
  }
  if (path.ends_with(".yaml") || path.ends_with(".yml")) return InspectConfig(path, options);
  if (path.ends_with("/tokenizer.json")) {
    return InspectModelFolder(fs::path(path).parent_path().string(), options);
  }
  if (path.ends_with(".h5") || path.ends_with(".hdf5") || path.ends_with(".index.json")) {
    return InspectDataset(path, options);
  }
  throw Error(ErrorKind::kUsage,
              path +
                  ": expected a dataset (.h5, .index.json), a config (.yaml), or a model or run "
                  "folder");
}

}  // namespace

void RunInspectCommand(const CommandOptions& options, World& world) {
  PrintResult(world, Inspect(options));
}

}  // namespace breakeven
