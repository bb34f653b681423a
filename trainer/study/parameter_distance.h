// Pure. How far training moved a model.
#ifndef BREAKEVEN_TRAINER_STUDY_PARAMETER_DISTANCE_H_
#define BREAKEVEN_TRAINER_STUDY_PARAMETER_DISTANCE_H_

#include <string>

#include "trainer/study/questions.h"

namespace breakeven {

// Compares the tensors of two model folders (F32, F16, BF16), as 32-bit floats, tensor by tensor: memory stays that of the
// mapped pages. Error(kBadData) naming the tensor that the tuned folder has and the base one lacks, or of another size or
// type; a tensor that only the base stores (a tied head written twice) counts in neither.
ModelModified ParameterDistance(const std::string& base_folder, const std::string& tuned_folder);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STUDY_PARAMETER_DISTANCE_H_
