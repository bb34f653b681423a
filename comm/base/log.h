// The one log of a process: console and, once a run folder exists, RUN/log.txt.
#ifndef BREAKEVEN_COMM_BASE_LOG_H_
#define BREAKEVEN_COMM_BASE_LOG_H_

#include <string>
#include <string_view>

namespace breakeven {

// Messages are text for people. Info goes out from rank 0 only; warnings and errors from every rank, prefixed with its
// number when there is more than one. Console output goes to stderr: stdout is for tables and --json.
void LogInfo(std::string_view message);
void LogWarning(std::string_view message);
void LogError(std::string_view message);

// Call once after the world is known; before it the process logs as rank 0 of 1.
void SetLogRank(int rank, int world_size);
// Appends everything the console says to this file from now on (every rank may name the same file: lines are short
// and appended whole). Throws Error(kCannotCreate).
void SetLogFile(const std::string& path);
// Suppresses Info on the console (for --json); warnings stay.
void SetLogQuiet(bool quiet);

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_BASE_LOG_H_
