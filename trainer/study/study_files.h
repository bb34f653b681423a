// Pure. Files and folders of a study: a file system that fails is an Error that names the path.
#ifndef BREAKEVEN_TRAINER_STUDY_STUDY_FILES_H_
#define BREAKEVEN_TRAINER_STUDY_STUDY_FILES_H_

#include <string>

namespace breakeven {

bool IsThere(const std::string& path);         // Error(kIo)
void RemoveFolder(const std::string& folder);  // with all in it; none is fine. Error(kIo)

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STUDY_STUDY_FILES_H_
