#include "data_pipeline/template/value.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "comm/base/error.h"
#include "data_pipeline/template/template.h"

namespace breakeven {
namespace {

std::string ErrorOf(std::string_view json) {
  try {
    return "no error: " + ToJson(ParseJson(json, "data.jsonl line 12"));
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadData);
    return error.what();
  }
}

TEST(Json, ReadsAndWritesWhatPythonDoes) {
  EXPECT_EQ(ToJson(ParseJson(R"( {"b": [1, -2.50, 1e3, true, null], "a": "é\u0001\n"} )", "x")),
            "{\"b\":[1,-2.5,1000.0,true,null],\"a\":\"é\\u0001\\n\"}");
  EXPECT_EQ(ToJson(ParseJson(R"({"a": 1, "b": 2, "a": 3})", "x")), R"({"a":3,"b":2})");
  EXPECT_EQ(ToJson(ParseJson("9223372036854775807", "x")), "9223372036854775807");
  EXPECT_EQ(ToJson(ParseJson("9223372036854775808", "x")), "9.223372036854776e+18");
  EXPECT_EQ(*ParseJson("0.1", "x").get_if<double>(), 0.1);
}

TEST(Json, DuplicatesAreFoundInWideObjects) {
  std::string json = "{";
  for (int i = 0; i < 5000; ++i)
    json += "\"k" + std::to_string(i % 2500) + "\":" + std::to_string(i) + ",";
  json.back() = '}';
  const Value value = ParseJson(json, "x");
  EXPECT_EQ(value.get_if<Dict>()->size(), 2500u);
  EXPECT_EQ(*value.get_if<Dict>()->Find("k0")->get_if<int64_t>(), 2500);
}

TEST(Json, ErrorsNamePlace) {
  EXPECT_EQ(ErrorOf("{\"a\": 1").substr(0, 44), "data.jsonl line 12: not valid JSON at byte 7");
  EXPECT_EQ(ErrorOf("[1, x]").substr(0, 44), "data.jsonl line 12: not valid JSON at byte 4");
  EXPECT_EQ(ErrorOf("").substr(0, 33), "data.jsonl line 12: not valid JSO");
  EXPECT_NE(ErrorOf(std::string(300, '[')).find("nested deeper than 200"), std::string::npos);
  EXPECT_NE(ErrorOf("\"\\ud800\"").find("surrogate"), std::string::npos);
}

TEST(FloatText, IsPythonsRepr) {
  EXPECT_EQ(FloatText(1.0), "1.0");
  EXPECT_EQ(FloatText(-0.0), "-0.0");
  EXPECT_EQ(FloatText(1e15), "1000000000000000.0");
  EXPECT_EQ(FloatText(1e16), "1e+16");
  EXPECT_EQ(FloatText(1e-4), "0.0001");
  EXPECT_EQ(FloatText(1e-5), "1e-05");
  EXPECT_EQ(FloatText(0.1 + 0.2), "0.30000000000000004");
  EXPECT_EQ(FloatText(std::numeric_limits<double>::max()), "1.7976931348623157e+308");
  EXPECT_EQ(FloatText(std::nan("")), "nan");
}

TEST(Dict, KeepsOrderAndComparesWithoutIt) {
  Dict a;
  a.Set("x", 1);
  a.Set("y", 2);
  a.Set("x", 3);
  EXPECT_EQ(a.items()[0].first, "x");
  EXPECT_EQ(*a.Find("x")->get_if<int64_t>(), 3);
  EXPECT_EQ(a.Find("z"), nullptr);
  Dict b;
  b.Set("y", 2);
  b.Set("x", 3);
  EXPECT_TRUE(a == b);
  b.Set("x", 3.0);
  EXPECT_FALSE(a == b);
}

TEST(PythonLiteral, ReadsChoices) {
  EXPECT_EQ(ToJson(ParsePythonLiteral("['a', \"b'c\", 'é\\n', 1, -2.5, True, None, ('x',)]", "t")),
            "[\"a\",\"b'c\",\"é\\n\",1,-2.5,true,null,[\"x\"]]");
  EXPECT_EQ(ToJson(ParsePythonLiteral("{'a': [1, 2,],}", "t")), R"({"a":[1,2]})");
  EXPECT_EQ(ToJson(ParsePythonLiteral("'a' 'b'", "t")), R"("ab")");
  for (const char* wrong : {"", "[", "[a]", "['a' 'b'", "f'x'", "1 2", "{'a'}", "'a"}) {
    EXPECT_THROW(ParsePythonLiteral(wrong, "t"), Error) << wrong;
  }
  EXPECT_THROW(ParsePythonLiteral(std::string(1000, '['), "t"), Error);
  EXPECT_THROW(ParsePythonLiteral(std::string("['\\xff'") + "\xff", "t"), Error);
}

}  // namespace
}  // namespace breakeven
