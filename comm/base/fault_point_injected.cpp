// The end of the seam that tests run.
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "comm/base/error.h"
#include "comm/base/fault_injection.h"
#include "comm/base/fault_point.h"

namespace breakeven {
namespace {

enum class Action { kKill, kExit, kThrow, kStop, kHang, kSleep, kErrno, kNan };

struct Rule {
  std::string name;
  int64_t first_index = 0;
  int64_t last_index = INT64_MAX;
  std::optional<int> rank;
  Action action = Action::kKill;
  int number = 0;  // exit code, errno or milliseconds
};

struct State {
  std::mutex mutex;
  std::vector<Rule> rules;
  std::map<std::pair<int, std::string>, int64_t> calls;  // by rank: of threads that are ranks too
};

State& TheState() {
  static State* state = new State;
  return *state;
}

std::atomic<int> process_rank{0};
thread_local std::optional<int> thread_rank;

[[noreturn]] void FailRule(std::string_view rule, const std::string& why) {
  throw Error(
      ErrorKind::kUsage,
      "BREAKEVEN_FAULT: rule \"" + std::string(rule) + "\": " + why +
          "; expected name[@index[+]][:rank]=kill|exit:CODE|throw|stop|hang|sleep:MS|errno:N|nan");
}

template <typename T>
T ParseNumber(std::string_view rule, std::string_view text, T max, const char* what) {
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0 || value > max) {
    FailRule(rule, std::string(what) + " \"" + std::string(text) + "\" is not a number from 0 to " +
                       std::to_string(max));
  }
  return value;
}

int ParseErrno(std::string_view rule, std::string_view text) {
  static constexpr std::pair<std::string_view, int> names[] = {
      {"ENOSPC", ENOSPC}, {"EIO", EIO},       {"EDQUOT", EDQUOT}, {"EFBIG", EFBIG},
      {"EROFS", EROFS},   {"EACCES", EACCES}, {"ENOENT", ENOENT}, {"ESTALE", ESTALE}};
  for (const auto& [name, value] : names) {
    if (text == name) return value;
  }
  const int value = ParseNumber<int>(rule, text, 4095, "errno");
  if (value == 0) FailRule(rule, "errno 0 means success");
  return value;
}

void ParseAction(std::string_view rule, std::string_view text, Rule* parsed) {
  const size_t colon = text.find(':');
  const std::string_view word = text.substr(0, colon);
  const bool has_number = colon != std::string_view::npos;
  const std::string_view number = has_number ? text.substr(colon + 1) : std::string_view();
  static constexpr std::pair<std::string_view, Action> words[] = {
      {"kill", Action::kKill},   {"exit", Action::kExit}, {"throw", Action::kThrow},
      {"stop", Action::kStop},   {"hang", Action::kHang}, {"sleep", Action::kSleep},
      {"errno", Action::kErrno}, {"nan", Action::kNan}};
  for (const auto& [name, action] : words) {
    if (word != name) continue;
    const bool wants_number =
        action == Action::kExit || action == Action::kErrno || action == Action::kSleep;
    if (wants_number != has_number) {
      FailRule(rule, "action " + std::string(name) +
                         (wants_number ? " needs a value after ':'" : " takes no value"));
    }
    parsed->action = action;
    if (action == Action::kExit) parsed->number = ParseNumber<int>(rule, number, 255, "exit code");
    if (action == Action::kErrno) parsed->number = ParseErrno(rule, number);
    if (action == Action::kSleep) {
      parsed->number = ParseNumber<int>(rule, number, 600'000, "milliseconds");
    }
    return;
  }
  FailRule(rule, "unknown action \"" + std::string(word) + "\"");
}

Rule ParseRule(std::string_view rule) {
  Rule parsed;
  const size_t equals = rule.find('=');
  if (equals == std::string_view::npos) FailRule(rule, "there is no '='");
  std::string_view where = rule.substr(0, equals);
  ParseAction(rule, rule.substr(equals + 1), &parsed);
  if (const size_t colon = where.find(':'); colon != std::string_view::npos) {
    parsed.rank = ParseNumber<int>(rule, where.substr(colon + 1), 1 << 20, "rank");
    where = where.substr(0, colon);
  }
  if (const size_t at = where.find('@'); at != std::string_view::npos) {
    std::string_view index = where.substr(at + 1);
    const bool open = index.ends_with('+');
    if (open) index.remove_suffix(1);
    parsed.first_index = ParseNumber<int64_t>(rule, index, INT64_MAX - 1, "index");
    if (!open) parsed.last_index = parsed.first_index;
    where = where.substr(0, at);
  }
  const size_t bad = where.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_.");
  if (where.empty() || bad != std::string_view::npos) {
    FailRule(rule, "\"" + std::string(where) + "\" is not the name of a point");
  }
  parsed.name = where;
  return parsed;
}

std::vector<Rule> ParseRules(std::string_view text) {
  std::vector<Rule> rules;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    rules.push_back(ParseRule(text.substr(0, comma)));
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
    if (text.empty()) FailRule(text, "the list ends with a comma");
  }
  return rules;
}

// Runs before main, so that a mistyped rule never looks like a fault that was survived.
const bool environment_was_read = [] {
  const char* text = std::getenv("BREAKEVEN_FAULT");
  if (text == nullptr) return false;
  try {
    TheState().rules = ParseRules(text);
  } catch (const Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    std::_Exit(static_cast<int>(ErrorKind::kUsage));
  }
  return true;
}();

std::optional<Rule> FindRule(std::string_view name, int64_t index) {
  State& state = TheState();
  const std::lock_guard lock(state.mutex);
  if (state.rules.empty()) return std::nullopt;
  const int rank = thread_rank.value_or(process_rank);
  if (index == kCallNumber) index = state.calls[{rank, std::string(name)}]++;
  for (const Rule& rule : state.rules) {
    if (rule.name == name && rule.first_index <= index && index <= rule.last_index &&
        (!rule.rank.has_value() || *rule.rank == rank)) {
      return rule;
    }
  }
  return std::nullopt;
}

// Does what acts on the process; errno and nan are left to the caller.
void Act(const std::optional<Rule>& rule) {
  if (!rule.has_value()) return;
  switch (rule->action) {
    case Action::kKill:
      ::kill(::getpid(), SIGKILL);
      for (;;) ::pause();
    case Action::kExit:
      std::_Exit(rule->number);
    case Action::kThrow:
      throw Error(ErrorKind::kInternal, "injected fault at " + rule->name);
    case Action::kStop:
      ::kill(::getpid(), SIGSTOP);
      return;
    case Action::kHang:
      for (;;) ::pause();
    case Action::kSleep:
      std::this_thread::sleep_for(std::chrono::milliseconds(rule->number));
      return;
    case Action::kErrno:
    case Action::kNan:
      return;
  }
}

}  // namespace

void FaultPoint(std::string_view name, int64_t index) { Act(FindRule(name, index)); }

int InjectedErrno(std::string_view name, int64_t index) {
  const std::optional<Rule> rule = FindRule(name, index);
  Act(rule);
  return rule.has_value() && rule->action == Action::kErrno ? rule->number : 0;
}

bool InjectedNan(std::string_view name, int64_t index) {
  const std::optional<Rule> rule = FindRule(name, index);
  Act(rule);
  return rule.has_value() && rule->action == Action::kNan;
}

void SetFaultRank(int rank) { process_rank = rank; }
void SetThreadFaultRank(int rank) { thread_rank = rank; }

void SetFaults(std::string_view rules) {
  std::vector<Rule> parsed = ParseRules(rules);
  State& state = TheState();
  const std::lock_guard lock(state.mutex);
  state.rules = std::move(parsed);
  state.calls.clear();
}

}  // namespace breakeven
