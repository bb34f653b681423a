// report_example FOLDER: writes a planted study's report there, for tests/system/test_report.py.
#include "tests/support/report_example.h"

#include <cstdio>

#include "comm/base/error.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: report_example FOLDER\n", stderr);
    return 64;
  }
  try {
    breakeven::WriteStudyReport(breakeven::ExampleReport(), argv[1]);
  } catch (const breakeven::Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return error.exit_code();
  }
  return 0;
}
