#include "trainer/prompt_eval/kept_arms.h"

#include <filesystem>
#include <utility>
#include <vector>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "comm/base/hash.h"
#include "comm/base/log.h"
#include "trainer/prompt_eval/arm_state.h"

namespace breakeven {
namespace {

namespace fs = std::filesystem;

// KEY.json, KEY.jsonl, the lock.
bool IsOurs(const fs::path& file) {
  const std::string key = file.stem();
  const std::string kind = file.extension();
  if (file.filename() == "lock") return true;
  return (kind == ".json" || kind == ".jsonl") && key.size() == HashHex(0).size() &&
         key.find_first_not_of("0123456789abcdef") == std::string::npos;
}

}  // namespace

KeptArms::KeptArms(const std::string& output, Control& control)
    : folder_(output + "/kept_arms"), control_(control) {
  RunTogether(control_, /*root_only=*/true, [&] {
    CreateFolders(folder_);
    lock_ = std::make_unique<FolderLock>(folder_);
  });
}

std::optional<ArmResult> KeptArms::Find(const std::string& key) {
  std::string state;
  std::string records;
  RunTogether(control_, /*root_only=*/true, [&] {
    const std::string path = Path(key) + ".json";
    std::error_code unreadable;  // reading would say more
    if (!fs::exists(path, unreadable) || !fs::exists(Path(key) + ".jsonl", unreadable)) return;
    const std::string found = ReadFile(Path(key) + ".jsonl");
    try {
      const std::string text = ReadFile(path);
      if (ParseArmState(text, path).records_hash != HashHex(Hash64(found))) return;
      state = text;
      records = found;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kBadData) throw;
      LogWarning(std::string(error.what()) + "; the arm is scored again");
    }
  });
  control_.Broadcast(state, /*root=*/0);
  if (state.empty()) return std::nullopt;
  control_.Broadcast(records, /*root=*/0);
  const ArmState arm = ParseArmState(state, key);
  return ArmResult{arm.summary, std::move(records), arm.hash};
}

void KeptArms::Keep(const std::string& key, const ArmResult& arm) {
  RunTogether(control_, /*root_only=*/true, [&] {
    WriteFileDurably(Path(key) + ".jsonl", arm.records);
    WriteFileDurably(Path(key) + ".json",
                     FormatArmState({arm.summary, arm.hash, HashHex(Hash64(arm.records))}) + "\n");
  });
}

void KeptArms::Clear() {
  RunTogether(control_, /*root_only=*/true, [&] {
    std::error_code error;
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(folder_, error)) {
      if (IsOurs(entry.path())) files.push_back(entry.path());
    }
    for (const fs::path& file : files) {
      if (!fs::remove(file, error) && error) {
        LogWarning(file.string() + ": cannot be removed: " + error.message());
      }
    }
    lock_.reset();
    fs::remove(folder_, error);  // unless something else is in it
  });
}

}  // namespace breakeven
