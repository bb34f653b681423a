// Pure.
#include "trainer/prompt_eval/ledger.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string_view>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "comm/base/hash.h"
#include "comm/base/log.h"
#include "comm/base/own_file.h"
#include "comm/base/utc_time.h"

namespace breakeven {
namespace {

[[noreturn]] void FailIo(const std::string& path, const std::string& what) {
  throw Error(ErrorKind::kIo, path + ": " + what + ": " + std::strerror(errno) +
                                  "; the sealed split was not scored");
}

// Independent of the arms' order and names.
std::string ArmsHash(const Look& look) {
  std::vector<std::string> hashes;
  for (const LedgerArm& arm : look.arms) hashes.push_back(arm.hash);
  std::sort(hashes.begin(), hashes.end());
  Hasher hasher;
  for (const std::string& hash : hashes) hasher.UpdateField(hash);
  return hasher.Hex();
}

std::string EntryLine(const Look& look, const std::string& arms_hash, const std::string& opened) {
  nlohmann::ordered_json entry;
  entry["format"] = 1;
  entry["opened"] = opened;
  entry["task"] = look.task;
  entry["split"] = look.split;
  entry["test_hash"] = look.test_hash;
  entry["arms_hash"] = arms_hash;
  entry["arms"] = nlohmann::ordered_json::array();
  for (const LedgerArm& arm : look.arms) {
    entry["arms"].push_back({{"model", arm.model}, {"variant", arm.variant}, {"hash", arm.hash}});
  }
  return entry.dump() + "\n";
}

// A look that a file knows: its key and its whole line.
struct LedgerEntry {
  std::string arms_hash;
  std::string opened;  // ISO 8601: sorts as time does
  std::string line;
};

bool Holds(const std::vector<LedgerEntry>& entries, const std::string& arms_hash) {
  return std::any_of(entries.begin(), entries.end(),
                     [&](const LedgerEntry& entry) { return entry.arms_hash == arms_hash; });
}

// An open, locked ledger.
class LedgerFile {
 public:
  explicit LedgerFile(const std::string& path) : path_(path) {
    fd_ = OpenOwnFile(path, O_RDWR | O_CREAT | O_APPEND);
  }
  void Lock() {
    if (flock(fd_, LOCK_EX) != 0 && errno != ENOLCK && errno != EOPNOTSUPP) {
      FailIo(path_, "cannot lock the ledger");
    }
  }
  ~LedgerFile() {
    if (fd_ >= 0) close(fd_);
  }
  LedgerFile(const LedgerFile&) = delete;
  LedgerFile& operator=(const LedgerFile&) = delete;

  bool is_open() const { return fd_ >= 0; }
  // By another name, such as a hard link: its lock is held by whoever opened the first.
  bool IsSameFileAs(const LedgerFile& other) const {
    struct stat mine = {};
    struct stat theirs = {};
    return fstat(fd_, &mine) == 0 && fstat(other.fd_, &theirs) == 0 &&
           mine.st_dev == theirs.st_dev && mine.st_ino == theirs.st_ino;
  }
  const std::string& path() const { return path_; }

  // Every look at this test set, in order. Cuts off what a crash left of a line.
  std::vector<LedgerEntry> Looks(const std::string& test_hash) {
    const std::string text = ReadFile(path_);
    const size_t complete = text.rfind('\n') == std::string::npos ? 0 : text.rfind('\n') + 1;
    std::vector<LedgerEntry> looks;
    int64_t line_number = 0;
    for (size_t begin = 0; begin < complete; begin = text.find('\n', begin) + 1) {
      ++line_number;
      const std::string line = text.substr(begin, text.find('\n', begin) - begin);
      const nlohmann::json entry = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
      if (!entry.is_object() || !entry.contains("format") || entry["format"] != 1 ||
          !HasText(entry, "test_hash") || !HasText(entry, "arms_hash")) {
        RefuseLine(line_number);
      }
      if (entry["test_hash"] == test_hash) {
        looks.push_back({entry["arms_hash"],
                         HasText(entry, "opened") ? entry["opened"].get<std::string>() : "",
                         line + "\n"});
      }
    }
    // Only of a ledger is it sure that a torn line is a crash's and nothing that is missed.
    if (complete == text.size()) return looks;
    constexpr std::string_view kBegin = R"({"format":1,)";
    const std::string_view torn = std::string_view(text).substr(complete);
    if (torn.substr(0, kBegin.size()) != kBegin.substr(0, torn.size())) RefuseLine(line_number + 1);
    if (ftruncate(fd_, static_cast<off_t>(complete)) != 0) {
      FailIo(path_, "cannot remove an incomplete last line");
    }
    return looks;
  }

  void Append(const std::string& line) {
    const ssize_t written = write(fd_, line.data(), line.size());
    if (written != static_cast<ssize_t>(line.size())) FailIo(path_, "cannot write the ledger");
    if (fsync(fd_) != 0) FailIo(path_, "cannot write the ledger");
    const std::string folder = std::filesystem::path(path_).parent_path().string();
    FsyncDirectory(folder.empty() ? "." : folder);
  }

 private:
  [[noreturn]] void RefuseLine(int64_t number) const {
    throw Error(ErrorKind::kBadData,
                path_ + " line " + std::to_string(number) +
                    ": not an entry of a ledger (format 1 with test_hash and arms_hash); if the "
                    "file is damaged, keep it and move it away: it counts the looks at a test set");
  }
  static bool HasText(const nlohmann::json& entry, const char* key) {
    return entry.contains(key) && entry[key].is_string();
  }

  const std::string path_;
  int fd_ = -1;
};

std::vector<std::unique_ptr<LedgerFile>> OpenFiles(std::span<const std::string> paths) {
  std::vector<std::unique_ptr<LedgerFile>> files;
  std::string failures;
  for (const std::string& path : paths) {
    auto file = std::make_unique<LedgerFile>(path);
    if (file->is_open()) {
      const bool is_known = std::any_of(files.begin(), files.end(), [&](const auto& other) {
        return file->IsSameFileAs(*other);
      });
      if (is_known) continue;
      file->Lock();
      files.push_back(std::move(file));
      continue;
    }
    failures += path + ": " + std::strerror(errno) + "\n";
    if (errno != EACCES && errno != EROFS && errno != EPERM) {
      throw Error(
          ErrorKind::kCannotCreate,
          path + ": cannot open the ledger of looks at the sealed split: " + WhyNotOpened(errno));
    }
    LogWarning(path + ": cannot write the ledger here (" + std::strerror(errno) +
               "); looks that other runs take at this data will not be counted");
  }
  if (files.empty()) {
    throw Error(
        ErrorKind::kCannotCreate,
        "no ledger of looks at the sealed split can be written, so it is not scored:\n" + failures);
  }
  return files;
}

}  // namespace

LookNumber OpenLook(std::span<const std::string> paths, const Look& look) {
  const std::string arms_hash = ArmsHash(look);
  std::vector<std::unique_ptr<LedgerFile>> files = OpenFiles(paths);
  std::vector<LedgerEntry> known;  // different ones, in order of opening
  std::vector<std::vector<LedgerEntry>> of_files;
  for (const auto& file : files) {
    of_files.push_back(file->Looks(look.test_hash));
    for (const LedgerEntry& entry : of_files.back()) {
      if (!Holds(known, entry.arms_hash)) known.push_back(entry);
    }
  }
  LookNumber number;
  number.is_new = !Holds(known, arms_hash);
  if (number.is_new) {
    const std::string opened = UtcNow();
    known.push_back({arms_hash, opened, EntryLine(look, arms_hash, opened)});
  }
  // A file that could not be written for a while lacks some, so its order is not that of all.
  std::stable_sort(known.begin(), known.end(),
                   [](const LedgerEntry& a, const LedgerEntry& b) { return a.opened < b.opened; });
  number.num_looks = std::ssize(known);
  for (size_t i = 0; i < known.size(); ++i) {
    if (known[i].arms_hash == arms_hash) number.look = static_cast<int64_t>(i) + 1;
  }
  for (size_t i = 0; i < files.size(); ++i) {
    std::string missing;
    for (const LedgerEntry& entry : known) {
      if (!Holds(of_files[i], entry.arms_hash)) missing += entry.line;
    }
    if (!missing.empty()) files[i]->Append(missing);
  }
  return number;
}

LookNumber OpenLookTogether(const std::string& data_path, const std::string& folder,
                            const Look& look, Control& control) {
  LookNumber opened;
  RunTogether(control, /*root_only=*/true, [&] {
    const std::vector<std::string> paths = {data_path + ".ledger.jsonl", folder + "/ledger.jsonl"};
    opened = OpenLook(paths, look);
  });
  // Only rank 0 knows; elsewhere all is 0.
  opened.look = control.AllReduce(opened.look, ReduceOp::kMax);
  opened.num_looks = control.AllReduce(opened.num_looks, ReduceOp::kMax);
  opened.is_new = control.AllReduce(int64_t{opened.is_new}, ReduceOp::kMax) != 0;
  return opened;
}

}  // namespace breakeven
