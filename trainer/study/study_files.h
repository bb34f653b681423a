// Pure. Files and folders of a study: a file system that fails is an Error that names the path.
#ifndef BREAKEVEN_TRAINER_STUDY_STUDY_FILES_H_
#define BREAKEVEN_TRAINER_STUDY_STUDY_FILES_H_

#include <cstdint>
#include <string>

namespace breakeven {

bool IsThere(const std::string& path);         // Error(kIo)
void RemoveFolder(const std::string& folder);  // with all in it; none is fine. Error(kIo)
int64_t FreeBytes(const std::string& folder);  // of its file system, for this user. Error(kIo)

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STUDY_STUDY_FILES_H_
