// Pure. What NCCL says turned into errors with a remedy, and which NCCL it is. nccl.h stays out of headers.
#ifndef BREAKEVEN_COMM_NCCL_CHECK_H_
#define BREAKEVEN_COMM_NCCL_CHECK_H_

#include <source_location>
#include <string>

struct ncclComm;  // NCCL's name for what an ncclComm_t points at

namespace breakeven {

// "ncclAllReduce failed (file:12): <NCCL's reason>. <NCCL's last words>. <remedy>". `comm` may be null.
std::string DescribeNcclFailure(int result, const std::string& call, ncclComm* comm,
                                std::source_location place);

// For calls without a communicator. Error: kCommunication.
void CheckNccl(int result, const char* call,
               std::source_location place = std::source_location::current());

// The library that this process has loaded, and the headers that it was compiled against, as NCCL_VERSION_CODEs.
struct NcclVersions {
  int loaded = 0;
  int compiled = 0;
};
NcclVersions LoadedNccl();
std::string NcclVersionText(int code);  // "2.30.7"

// An empty message when the two fit; else what is wrong and the remedy. `fatal` says whether to go on is
// hopeless (another major version, or one without what we call) or only worth a warning (an older library).
struct NcclVersionVerdict {
  std::string message;
  bool fatal = false;
};
NcclVersionVerdict JudgeNcclVersions(NcclVersions versions);

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_NCCL_CHECK_H_
