#include "comm/base/json_depth.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "comm/base/error.h"

namespace breakeven {
namespace {

std::string Nested(int64_t levels) {
  return std::string(static_cast<size_t>(levels), '[') +
         std::string(static_cast<size_t>(levels), ']');
}

TEST(JsonDepth, StopsAtTheLevelBeyondTheLimit) {
  EXPECT_NO_THROW(CheckJsonDepth(Nested(kMaxJsonDepth), "f"));
  try {
    CheckJsonDepth(R"({"a": )" + Nested(kMaxJsonDepth) + "}", "weights");
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadData);
    EXPECT_THAT(error.what(), testing::StartsWith("weights: at byte 205 its JSON is nested"));
  }
}

TEST(JsonDepth, CountsWhatIsOpenAndNoBracketsOfTexts) {
  std::string wide = "[";
  for (int i = 0; i < 1000; ++i) wide += "[],";
  EXPECT_NO_THROW(CheckJsonDepth(wide + "[]]", "f"));
  EXPECT_NO_THROW(CheckJsonDepth(R"(["\"[\\)" + Nested(1000) + R"("])", "f"));
  EXPECT_THROW(CheckJsonDepth(R"(["\\",)" + Nested(1000) + "]", "f"), Error);
}

TEST(JsonDepth, LeavesWhatIsNoJsonToTheParser) {
  for (const char* text : {"", "]]]]", "\"", "\"\\", "{\"a"}) {
    EXPECT_NO_THROW(CheckJsonDepth(text, "f")) << text;
  }
}

}  // namespace
}  // namespace breakeven
