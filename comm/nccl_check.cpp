#include "comm/nccl_check.h"

#include <nccl.h>

#include "comm/base/error.h"

namespace breakeven {
namespace {

// ncclMemAlloc and ncclCommRegister came with it.
constexpr int kOldestNccl = NCCL_VERSION(2, 19, 0);

const char* RemedyFor(int result) {
  switch (result) {
    case ncclUnhandledCudaError:
      return "Run with NCCL_DEBUG=WARN to see the CUDA error; most often the device is out of "
             "memory or the driver is too old for this NCCL.";
    case ncclSystemError:
      return "Run with NCCL_DEBUG=WARN; most often the ranks chose an interface that does not "
             "reach the other nodes (NCCL_SOCKET_IFNAME) or /dev/shm is too small "
             "(NCCL_SHM_DISABLE=1).";
    case ncclInvalidUsage:
      return "Run with NCCL_DEBUG=WARN; most often two ranks use one GPU.";
    case ncclRemoteError:
      return "Another rank has failed or the network broke: the first error in the other ranks' "
             "logs is the cause.";
    case ncclInternalError:
    case ncclInvalidArgument:
      return "Run with NCCL_DEBUG=INFO and report what it says: this is a bug in NCCL or in "
             "breakeven.";
    default:
      return "Run with NCCL_DEBUG=INFO to see what NCCL does.";
  }
}

}  // namespace

std::string DescribeNcclFailure(int result, const std::string& call, ncclComm* comm,
                                std::source_location place) {
  const char* last = ncclGetLastError(comm);
  std::string text = call + " failed (" + place.file_name() + ":" + std::to_string(place.line()) +
                     "): " + ncclGetErrorString(static_cast<ncclResult_t>(result)) + ". ";
  if (last != nullptr && *last != '\0') text += "NCCL says: " + std::string(last) + ". ";
  return text + RemedyFor(result);
}

void CheckNccl(int result, const char* call, std::source_location place) {
  if (result == ncclSuccess) return;
  throw Error(ErrorKind::kCommunication, DescribeNcclFailure(result, call, nullptr, place));
}

NcclVersions LoadedNccl() {
  NcclVersions versions;
  versions.compiled = NCCL_VERSION_CODE;
  CheckNccl(ncclGetVersion(&versions.loaded), "ncclGetVersion");
  return versions;
}

std::string NcclVersionText(int code) {
  return std::to_string(code / 10000) + '.' + std::to_string(code / 100 % 100) + '.' +
         std::to_string(code % 100);
}

NcclVersionVerdict JudgeNcclVersions(NcclVersions versions) {
  const std::string found = "NCCL " + NcclVersionText(versions.loaded) +
                            " is loaded, this program was compiled against " +
                            NcclVersionText(versions.compiled);
  const std::string remedy =
      ". Load the one that came with the build: see LD_LIBRARY_PATH and `ldd breakeven`.";
  if (versions.loaded / 10000 != versions.compiled / 10000 || versions.loaded < kOldestNccl) {
    return {found + "; at least " + NcclVersionText(kOldestNccl) +
                " of the same major version is needed" + remedy,
            true};
  }
  // A newer library of the same major version keeps the interface.
  if (versions.loaded / 100 < versions.compiled / 100) return {found + remedy, false};
  return {};
}

}  // namespace breakeven
