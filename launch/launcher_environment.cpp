#include "launch/launcher_environment.h"

#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace breakeven {

std::vector<std::string> LauncherVariables() {
  const bool launched =
      std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr || std::getenv("PMIX_RANK") != nullptr;
  std::vector<std::string> names;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::string_view name = text.substr(0, text.find('='));
    const bool users =
        name.starts_with("OMPI_ALLOW_RUN_AS_ROOT") || (!launched && name.starts_with("OMPI_MCA_"));
    if (users) continue;
    for (const char* launchers : {"OMPI_", "PMIX_", "PRTE_", "ORTE_", "PMI_"}) {
      if (name.starts_with(launchers)) names.emplace_back(name);
    }
  }
  return names;
}

}  // namespace breakeven
