// Times that the program waits at most, as a config gives them: one that no clock holds is refused before it is added to one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "comm/base/error.h"
#include "comm/data_plane.h"
#include "comm/watchdog_config.h"
#include "launch/yaml_reader.h"

namespace breakeven {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// What a setting is refused with; "" when it is not.
template <typename T>
std::string Refusal(const std::string& setting) {
  try {
    ReadConfig<T>("", {setting});
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    return error.what();
  }
  return "";
}

TEST(TimesToWait, OfCollectivesArePositiveAndFitAClock) {
  for (const char* value : {"1e9", "1e300", ".inf", ".nan", "0", "-1"}) {
    EXPECT_THAT(Refusal<CommConfig>(std::string("timeout_seconds=") + value),
                AllOf(HasSubstr("timeout_seconds: found the number "),
                      HasSubstr("expected a number above 0 and at most 1e+08"),
                      HasSubstr("write 1e8 to wait for as long as it takes")))
        << value;
  }
  for (const char* value : {"1e8", "0.5", "1800"}) {
    EXPECT_EQ(Refusal<CommConfig>(std::string("timeout_seconds=") + value), "");
  }
}

TEST(TimesToWait, OfTheWatchdogFitAClockOrAreNone) {
  for (const char* phase : {"startup", "step", "checkpoint", "eval", "closing"}) {
    const std::string key = std::string(phase) + "_seconds";
    for (const char* value : {"1e9", "1e300", ".inf", ".nan", "-1"}) {
      EXPECT_THAT(
          Refusal<WatchdogConfig>(key + "=" + value),
          AllOf(HasSubstr(key + ": found the number "),
                HasSubstr("expected a number from 0 to 1e+08"), HasSubstr("write 0 for no limit")))
          << value;
    }
    for (const char* value : {"0", "1e8"}) {
      EXPECT_EQ(Refusal<WatchdogConfig>(key + "=" + value), "");
    }
  }
}

}  // namespace
}  // namespace breakeven
