// Pure.
#include "comm/base/error.h"

namespace breakeven {

std::string_view ErrorKindName(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kUsage:
      return "usage";
    case ErrorKind::kBadData:
      return "bad data";
    case ErrorKind::kInternal:
      return "internal error";
    case ErrorKind::kCannotCreate:
      return "cannot create output";
    case ErrorKind::kIo:
      return "input/output failed";
    case ErrorKind::kSavedRequeue:
      return "saved, run again";
    case ErrorKind::kCommunication:
      return "communication failed";
    case ErrorKind::kMachine:
      return "machine not fit";
  }
  return "error";
}

void FailCheck(const char* condition, const char* file, int line, const std::string& detail) {
  throw Error(ErrorKind::kInternal,
              std::string(file) + ":" + std::to_string(line) + ": this must hold and does not: " +
                  condition + " (" + detail + "). This is a bug in breakeven; please report it.");
}

}  // namespace breakeven
