#include "trainer/prompt_eval/kept_arms.h"

#include <filesystem>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "comm/base/hash.h"
#include "comm/base/log.h"
#include "trainer/prompt_eval/arm_state.h"

namespace breakeven {
namespace {

namespace fs = std::filesystem;

}  // namespace

KeptArms::KeptArms(const std::string& output, Control& control)
    : folder_(output + "/parts"), control_(control) {}

std::optional<ArmResult> KeptArms::Find(const std::string& key) {
  std::string state;
  std::string records;
  RunTogether(control_, /*root_only=*/true, [&] {
    const std::string path = Path(key) + ".json";
    if (!fs::exists(path) || !fs::exists(Path(key) + ".jsonl")) return;
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
    CreateFolders(folder_);
    WriteFileDurably(Path(key) + ".jsonl", arm.records);
    WriteFileDurably(Path(key) + ".json",
                     FormatArmState({arm.summary, arm.hash, HashHex(Hash64(arm.records))}) + "\n");
  });
}

void KeptArms::Clear() {
  RunTogether(control_, /*root_only=*/true, [&] {
    std::error_code error;
    fs::remove_all(folder_, error);
    if (error) LogWarning(folder_ + ": cannot be removed: " + error.message());
  });
}

}  // namespace breakeven
