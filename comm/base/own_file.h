// Files that this program writes in a folder that may come from somebody else.
#ifndef BREAKEVEN_COMM_BASE_OWN_FILE_H_
#define BREAKEVEN_COMM_BASE_OWN_FILE_H_

#include <string>

namespace breakeven {

// open(2), close-on-exec, never through a symbolic link as the last part of `path`: a run folder that was downloaded must not
// lead a lock, a log or a temporary file to a file outside it. -1 and errno. `flags`: open's; a file made is 0666 & ~umask.
int OpenOwnFile(const std::string& path, int flags);

// What errno says, with the remedy for a symbolic link in the way (ELOOP).
std::string WhyNotOpened(int error);

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_BASE_OWN_FILE_H_
