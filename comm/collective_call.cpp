// Pure.
#include "comm/collective_call.h"

#include <iterator>

namespace breakeven {

std::string_view CollectiveName(Collective collective) {
  static constexpr std::string_view kNames[] = {
      "nothing",       "Allocate",  "AllocateShared",     "AllReduce",
      "ReduceScatter", "AllGather", "StartReduceScatter", "StartAllGather",
      "Broadcast",     "Barrier",   "Complete",           "Close"};
  static_assert(std::size(kNames) == static_cast<size_t>(Collective::kClose) + 1);
  return kNames[static_cast<size_t>(collective)];
}

std::string_view PlaneName(Plane plane) { return plane == Plane::kData ? "data" : "control"; }

std::string_view DTypeName(DType dtype) {
  static constexpr std::string_view kNames[] = {"float32", "bfloat16", "float64",
                                                "int32",   "int64",    "uint8"};
  return kNames[static_cast<size_t>(dtype)];
}

std::string CollectiveCall::Text() const {
  static constexpr const char* kOps[] = {"sum", "max", "min"};
  std::string text(plane == Plane::kControl ? "control " : "");
  text += CollectiveName(collective);
  text += ", call " + std::to_string(sequence);
  if (collective == Collective::kAllocate || collective == Collective::kAllocateShared) {
    return text + ": " + std::to_string(count) + " bytes";
  }
  if (collective == Collective::kBarrier || collective == Collective::kComplete ||
      collective == Collective::kClose) {
    return text;
  }
  const bool reduces = collective == Collective::kAllReduce ||
                       collective == Collective::kReduceScatter ||
                       collective == Collective::kStartReduceScatter;
  const bool is_text = plane == Plane::kControl && !reduces;
  if (reduces) text += std::string(": ") + kOps[static_cast<size_t>(op)] + " of ";
  if (!is_text)
    text += (reduces ? "" : ": ") + std::to_string(count) + " " + std::string(DTypeName(dtype));
  if (collective == Collective::kBroadcast) text += " from rank " + std::to_string(root);
  return text;
}

std::string CollectiveCall::Site() const { return SiteText(site.file_name(), site.line()); }

std::string SiteText(std::string_view path, uint32_t line) {
  const size_t file = path.rfind('/');
  const size_t folder =
      file == std::string_view::npos || file == 0 ? file : path.rfind('/', file - 1);
  const std::string_view name = folder == std::string_view::npos ? path : path.substr(folder + 1);
  return std::string(name) + ":" + std::to_string(line);
}

}  // namespace breakeven
