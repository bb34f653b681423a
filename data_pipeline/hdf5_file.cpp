#include "data_pipeline/hdf5_file.h"

#include <hdf5.h>

#include <type_traits>
#include <vector>

namespace breakeven {
namespace {

static_assert(std::is_same_v<hid_t, Hdf5Id>);

std::mutex& Hdf5Mutex() {
  static std::mutex mutex;
  return mutex;
}

herr_t CollectReason(unsigned /*n*/, const H5E_error2_t* entry, void* data) {
  if (entry->desc != nullptr && entry->desc[0] != '\0') {
    static_cast<std::vector<std::string>*>(data)->push_back(entry->desc);
  }
  return 0;
}

}  // namespace

Hdf5Lock::Hdf5Lock() : lock_(Hdf5Mutex()) {
  // After a write that failed (disk full) HDF5 keeps an id whose file is gone, and its clean-up at exit crashes on it: the
  // process would end with SIGSEGV instead of its exit code. We close all that we open, so nothing is left to clean up.
  static const bool no_cleanup_at_exit = H5dont_atexit() >= 0;
  static_cast<void>(no_cleanup_at_exit);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

std::string Hdf5Reason() {
  std::vector<std::string> reasons;  // innermost first
  if (H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, CollectReason, &reasons) < 0 || reasons.empty()) {
    return "HDF5 gives no reason";
  }
  if (reasons.size() == 1 || reasons.front() == reasons.back()) return reasons.front();
  return reasons.back() + ": " + reasons.front();
}

}  // namespace breakeven
