// What a launcher (mpirun, srun) put into this process's environment.
#ifndef BREAKEVEN_LAUNCH_LAUNCHER_ENVIRONMENT_H_
#define BREAKEVEN_LAUNCH_LAUNCHER_ENVIRONMENT_H_

#include <string>
#include <vector>

namespace breakeven {

// Names of the variables that a program started from here must not see: OMPI_*, PMIX_*, PRTE_*, ORTE_* and PMI_*, which would
// make an mpirun below this process fail, or its ranks believe that they are another job's. OMPI_ALLOW_RUN_AS_ROOT* are the
// user's always, OMPI_MCA_* where no launcher is above: a launcher sets its own.
std::vector<std::string> LauncherVariables();

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_LAUNCHER_ENVIRONMENT_H_
