#include "launch/yaml_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/temp_folder.h"

namespace breakeven {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

struct Inner {
  int64_t steps = 3;
  double rate = 0.5;
  std::string kind = "linear";
  void VisitFields(FieldVisitor& v) {
    v.Visit({"steps", "how many", AtLeast(0)}, steps);
    v.Visit({"rate", "how fast", Above(0)}, rate);
    v.Visit({"kind", "which shape", OneOf({"linear", "cosine"})}, kind);
  }
};

struct Outer {
  std::string name;
  bool flag = false;
  std::vector<std::string> words = {"one", "two"};
  std::vector<int64_t> numbers;
  Inner inner;
  std::optional<Inner> maybe;
  std::vector<Inner> many;
  std::map<std::string, std::string> paths;
  std::map<std::string, Inner> sections;
  int64_t threads = 0;
  void VisitFields(FieldVisitor& v) {
    v.Visit({"name", "what it is called", Required()}, name);
    v.Visit({"flag", "yes or no"}, flag);
    v.Visit({"words", "some words"}, words);
    v.Visit({"numbers", "some numbers", Between(0, 9)}, numbers);
    v.Visit({"inner", "a section"}, inner);
    v.Visit({"maybe", "may be absent"}, maybe);
    v.Visit({"many", "several sections"}, many);
    v.Visit({"paths", "named paths"}, paths);
    v.Visit({"sections", "named sections"}, sections);
    v.Visit({"threads", "changes no result", AtLeast(0), false}, threads);
  }
  void Validate() const {
    if (name == "refused") throw Error(ErrorKind::kUsage, "name: 'refused' is not allowed");
  }
};

class YamlReaderTest : public ::testing::Test {
 protected:
  YamlReaderTest() { std::filesystem::create_directories(folder_ / "sub"); }

  std::string Write(const std::string& name, const std::string& text) {
    const std::string path = folder_ / name;
    std::ofstream(path) << text;
    return path;
  }
  Outer Read(const std::string& text, const std::vector<std::string>& set = {}) {
    return ReadConfig<Outer>(Write("run.yaml", text), set);
  }
  // The message of the Error(kUsage) that reading ends with.
  std::string ErrorOf(const std::string& text, const std::vector<std::string>& set = {}) {
    try {
      Read(text, set);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage) << error.what();
      return error.what();
    }
    ADD_FAILURE() << "no error for: " << text;
    return "";
  }

  const TempFolder folder_;
};

TEST_F(YamlReaderTest, ReadsEveryKindOfField) {
  const Outer config = Read(R"(
name: trial
flag: true
words: [a, "b c", 5]
numbers: [1, 0x9, 1e0]
inner: {steps: 1e6, rate: 1e-5, kind: cosine}
maybe: {steps: 7}
many:
  - steps: 1
  - {rate: 2}
paths: {base: models/x, "tuned.1": runs/y}
sections: {left: {steps: 4}}
)");
  EXPECT_EQ(config.name, "trial");
  EXPECT_TRUE(config.flag);
  EXPECT_THAT(config.words, ElementsAre("a", "b c", "5"));
  EXPECT_THAT(config.numbers, ElementsAre(1, 9, 1));
  EXPECT_EQ(config.inner.steps, 1000000);
  EXPECT_EQ(config.inner.rate, 1e-5);
  EXPECT_EQ(config.inner.kind, "cosine");
  ASSERT_TRUE(config.maybe.has_value());
  EXPECT_EQ(config.maybe->steps, 7);
  EXPECT_EQ(config.maybe->rate, 0.5);
  ASSERT_EQ(config.many.size(), 2u);
  EXPECT_EQ(config.many[1].rate, 2);
  EXPECT_EQ(config.paths.at("tuned.1"), "runs/y");
  EXPECT_EQ(config.sections.at("left").steps, 4);
}

TEST_F(YamlReaderTest, WhatIsNotThereKeepsItsDefault) {
  const Outer config = Read("name: x\n");
  EXPECT_THAT(config.words, ElementsAre("one", "two"));
  EXPECT_EQ(config.inner.steps, 3);
  EXPECT_FALSE(config.maybe.has_value());
  EXPECT_FALSE(Read("name: x\nmaybe: null\n").maybe.has_value());
  EXPECT_EQ(Read("name: x\ninner:\n").inner.steps, 3);
}

TEST_F(YamlReaderTest, AScalarIsAListOfOne) {
  EXPECT_THAT(Read("name: x\nwords: alone\n").words, ElementsAre("alone"));
  EXPECT_THAT(Read("name: x\nnumbers: 4\n").numbers, ElementsAre(4));
}

TEST_F(YamlReaderTest, ASectionMayBeAFileRelativeToTheFileThatNamesIt) {
  Write("sub/inner.yaml", "steps: 11\n");
  Write("sub/run.yaml",
        "name: x\ninner: inner.yaml\nmaybe: inner.yaml\nmany: [inner.yaml, {steps: 12}]\n");
  const Outer config = ReadConfig<Outer>(folder_ / "sub/run.yaml", {"inner.kind=cosine"});
  EXPECT_EQ(config.inner.steps, 11);
  EXPECT_EQ(config.inner.kind, "cosine");
  EXPECT_EQ(config.maybe->steps, 11);
  EXPECT_EQ(config.many[0].steps, 11);
  EXPECT_EQ(config.many[1].steps, 12);
}

TEST_F(YamlReaderTest, ErrorsInAFileNamedByAFileSayBoth) {
  Write("sub/inner.yaml", "stepz: 11\n");
  EXPECT_THAT(ErrorOf("name: x\ninner: sub/inner.yaml\n"),
              HasSubstr("sub/inner.yaml:1:1: unknown key 'stepz'"));
  const std::string missing = ErrorOf("name: x\ninner: nowhere.yaml\n");
  EXPECT_THAT(missing, HasSubstr("nowhere.yaml: cannot open"));
  EXPECT_THAT(missing, HasSubstr("run.yaml:2:8"));
  EXPECT_THAT(ErrorOf("name: x\ninner: fast\n"),
              HasSubstr("found the text 'fast', expected a section"));
  EXPECT_THAT(ErrorOf("name: x\ninner: run.yaml\n"), HasSubstr("unknown key 'name'"));
}

TEST_F(YamlReaderTest, AFileThatNamesItselfEnds) {
  struct Loop {
    std::vector<Outer> outers;
    void VisitFields(FieldVisitor& v) { v.Visit({"outers", "sections"}, outers); }
  };
  const std::string path = Write("loop.yaml", "loop.yaml\n");
  Write("run.yaml", "outers: [loop.yaml]\n");
  EXPECT_THROW(ReadConfig<Loop>(folder_ / "run.yaml", {}), Error);
}

TEST_F(YamlReaderTest, UnknownKeysAreNamedWithTheNearest) {
  const std::string message = ErrorOf("name: x\ninner:\n  steps: 1\n  raet: 2\n");
  EXPECT_THAT(message, HasSubstr("run.yaml:4:3: unknown key 'raet' in inner."));
  EXPECT_THAT(message, HasSubstr("Did you mean 'rate'?"));
  EXPECT_THAT(message, HasSubstr("steps, rate, kind"));
}

TEST_F(YamlReaderTest, WrongTypesAndRangesSayFoundAndAllowed) {
  EXPECT_THAT(
      ErrorOf("name: x\ninner: {steps: fast}\n"),
      HasSubstr(
          "run.yaml:2:16: inner.steps: found the text 'fast', expected an integer, at least 0"));
  EXPECT_THAT(ErrorOf("name: x\ninner: {steps: -1}\n"),
              HasSubstr("found the number -1, expected an integer"));
  EXPECT_THAT(ErrorOf("name: x\ninner: {steps: 1.5}\n"), HasSubstr("found the number 1.5"));
  EXPECT_THAT(ErrorOf("name: x\ninner: {steps: 99999999999999999999}\n"),
              HasSubstr("expected an integer"));
  EXPECT_THAT(ErrorOf("name: x\ninner: {steps: \"1\"}\n"), HasSubstr("leave the quotes out"));
  EXPECT_THAT(ErrorOf("name: x\ninner: {rate: 0}\n"), HasSubstr("expected a number above 0"));
  EXPECT_THAT(ErrorOf("name: x\ninner: {rate: .nan}\n"), HasSubstr("expected a number above 0"));
  EXPECT_THAT(ErrorOf("name: x\ninner: {rate: .inf}\n"), HasSubstr("expected a number above 0"));
  EXPECT_THAT(ErrorOf("name: x\ninner: {kind: linaer}\n"), HasSubstr("Did you mean 'linear'?"));
  EXPECT_THAT(ErrorOf("name: x\nflag: yes\n"),
              HasSubstr("found the text 'yes', expected true or false"));
  EXPECT_THAT(ErrorOf("name: x\nnumbers: [1, 10]\n"), HasSubstr("numbers.1: found the number 10"));
  EXPECT_THAT(ErrorOf("name: [x]\n"), HasSubstr("name: found a list of 1, expected a text"));
  EXPECT_THAT(ErrorOf("name:\n"), HasSubstr("write '' for the empty text"));
  EXPECT_THAT(ErrorOf("name: x\nwords: {a: b}\n"),
              HasSubstr("words: found a map with the keys a, expected a list"));
  EXPECT_THAT(ErrorOf("- name\n"), HasSubstr("expected a map of config keys"));
}

TEST_F(YamlReaderTest, EveryProblemIsListedAtOnce) {
  const std::string message = ErrorOf("inner: {steps: -1, rat: 1}\nflag: 3\n");
  EXPECT_THAT(message, HasSubstr("inner.steps"));
  EXPECT_THAT(message, HasSubstr("unknown key 'rat'"));
  EXPECT_THAT(message, HasSubstr("flag: found the number 3"));
  EXPECT_THAT(message, HasSubstr("name: this key is required and missing: what it is called"));
}

TEST_F(YamlReaderTest, SetOverridesTheFile) {
  const Outer config =
      Read("name: x\ninner: {steps: 1}\nmany: [{steps: 1}]\nwords: only\n",
           {"inner.steps=2", "inner.rate=0.25", "many.0.kind=cosine", "many.1.steps=9",
            "words.1=more", "paths.base=models/x", "sections.a.steps=5", "maybe.steps=6",
            "name=a: b", "numbers=[1, 2]", "paths.tuned\\.1=y"});
  EXPECT_EQ(config.inner.steps, 2);
  EXPECT_EQ(config.inner.rate, 0.25);
  EXPECT_EQ(config.many[0].kind, "cosine");
  EXPECT_EQ(config.many[0].steps, 1);
  EXPECT_EQ(config.many[1].steps, 9);
  EXPECT_THAT(config.words, ElementsAre("only", "more"));
  EXPECT_EQ(config.paths.at("base"), "models/x");
  EXPECT_EQ(config.paths.at("tuned.1"), "y");
  EXPECT_EQ(config.sections.at("a").steps, 5);
  EXPECT_EQ(config.maybe->steps, 6);
  EXPECT_EQ(config.name, "a: b");
  EXPECT_THAT(config.numbers, ElementsAre(1, 2));
}

TEST_F(YamlReaderTest, SetReachesIntoDefaultsAndOptionals) {
  EXPECT_THAT(Read("name: x\n", {"words.1=zwei"}).words, ElementsAre("one", "zwei"));
  EXPECT_FALSE(Read("name: x\nmaybe: {steps: 1}\n", {"maybe=null"}).maybe.has_value());
  EXPECT_EQ(Read("name: x\n", {"name="}).name, "");
  EXPECT_EQ(Read("name: x\n", {"name='quoted'"}).name, "quoted");
  EXPECT_THAT(Read("name: x\n", {"words=Question: what?"}).words, ElementsAre("Question: what?"));
  EXPECT_EQ(ReadConfig<Outer>("", {"name=alone"}).name, "alone");
}

TEST_F(YamlReaderTest, SetErrorsNameTheOption) {
  EXPECT_THAT(ErrorOf("name: x\n", {"inner.stps=2"}),
              HasSubstr("--set inner.stps=2: unknown key 'stps' in inner. Did you mean 'steps'?"));
  EXPECT_THAT(ErrorOf("name: x\n", {"inner.steps=-2"}),
              HasSubstr("--set inner.steps=-2: inner.steps: found the number -2"));
  EXPECT_THAT(ErrorOf("name: x\n", {"words.5=z"}), HasSubstr("expected an index from 0 to 2"));
  EXPECT_THAT(ErrorOf("name: x\n", {"name.first=z"}), HasSubstr("has no keys of its own"));
  EXPECT_THAT(ErrorOf("name: x\n", {"noequals"}), HasSubstr("expected path.to.key=value"));
  EXPECT_THAT(ErrorOf("name: x\n", {"inner.steps=[1"}), HasSubstr("--set inner.steps=[1: "));
}

TEST_F(YamlReaderTest, BadYamlHasLineAndColumn) {
  EXPECT_THAT(ErrorOf("name: x\n  bad: [1\n"), HasSubstr("run.yaml:"));
  EXPECT_THAT(ErrorOf("name: x\nname: y\n"),
              HasSubstr("run.yaml:2:1: the key 'name' stands here twice"));
  EXPECT_THAT(ErrorOf("name: &a x\nwords: [*a]\n"), HasSubstr("anchors"));
  EXPECT_THAT(ErrorOf("name: x\n---\nname: y\n"), HasSubstr("more than one document"));
  EXPECT_THAT(ErrorOf("name: !!binary x\n"), HasSubstr("tag"));
  EXPECT_THAT(ErrorOf(std::string("name: \xff\n")), HasSubstr("byte 6 is not UTF-8"));
  EXPECT_THAT(ErrorOf("name: " + std::string(100, '[') + std::string(100, ']') + "\n"),
              HasSubstr("64 levels"));
  EXPECT_THAT(ErrorOf("name: " + std::string(1 << 20, 'x') + "\n"), HasSubstr("larger than 1 MB"));
  EXPECT_THAT(ErrorOf("? [a]\n: b\n"), HasSubstr("where a key is expected"));
  EXPECT_THROW(ReadConfig<Outer>(folder_ / "absent.yaml", {}), Error);
}

// A search of all keys for each took minutes; the test's time limit would end it.
TEST_F(YamlReaderTest, AMegabyteOfKeysIsReadInTime) {
  std::string text;
  for (int i = 100'000; text.size() + 10 < size_t{1} << 20; ++i) text += std::to_string(i) + ":\n";
  EXPECT_GT(ParseYamlText(text, {}).entries.size(), 100'000u);
  EXPECT_THROW(ParseYamlText(text + "100000:\n", {}), Error);
}

TEST_F(YamlReaderTest, ValidateSpeaksWithTheFilesName) {
  EXPECT_THAT(ErrorOf("name: refused\n"), HasSubstr("run.yaml: name: 'refused' is not allowed"));
}

TEST_F(YamlReaderTest, PrintedConfigReadsBackTheSame) {
  Outer config;
  // Everything that YAML writers get wrong.
  const std::vector<std::string> hard = {"",
                                         " lead",
                                         "trail ",
                                         "a: b",
                                         "#c",
                                         "- d",
                                         "yes",
                                         "null",
                                         "1.0",
                                         "0x10",
                                         "~",
                                         "line\nbreak\n",
                                         "tab\t",
                                         "q\"uote'",
                                         "\\n",
                                         "{x}",
                                         "[y]",
                                         "&a",
                                         "*b",
                                         "!t",
                                         "%d",
                                         "@e",
                                         "`f`",
                                         "한국어 🇰🇷",
                                         "\x01\x1f\x7f",
                                         "\xc2\x85",
                                         "\xe2\x80\xa8",
                                         "\xef\xbb\xbf",
                                         "a,b",
                                         "k: [v",
                                         "{{ field }}",
                                         "\r\n"};
  config.name = "a: b #c";
  config.words = hard;
  config.inner.rate = 0.1 + 0.2;
  config.maybe.emplace();
  config.many.resize(2);
  config.many[1].rate = 1e-300;
  for (const std::string& text : hard) config.paths[text] = text;
  config.sections["x"].steps = 1;
  for (const bool with_help : {false, true}) {
    const std::string printed = PrintConfig(config, with_help);
    const Outer back = Read(printed);
    EXPECT_EQ(back.words, config.words);
    EXPECT_EQ(back.paths, config.paths);
    EXPECT_EQ(back.inner.rate, config.inner.rate);
    EXPECT_EQ(back.many[1].rate, 1e-300);
    EXPECT_TRUE(back.maybe.has_value());
    EXPECT_EQ(PrintConfig(back, with_help), printed);
    EXPECT_EQ(ConfigHash(back), ConfigHash(config));
  }
}

TEST_F(YamlReaderTest, JsonOfAConfigIsYamlToo) {
  Outer config = Read("name: 'x\"y'\nmany: [{rate: 1e-7}]\n");
  const std::string json = FormatJson(TreeOf(config));
  EXPECT_THAT(json, HasSubstr("\"maybe\": null"));
  EXPECT_EQ(PrintConfig(Read(json)), PrintConfig(config));
}

TEST_F(YamlReaderTest, TheHashLeavesOutWhatChangesNoResult) {
  const Outer config = Read("name: x\n");
  EXPECT_EQ(ConfigHash(config), ConfigHash(Read("name: x\nthreads: 4\n")));
  EXPECT_NE(ConfigHash(config), ConfigHash(Read("name: y\n")));
  EXPECT_NE(ConfigHash(config), ConfigHash(Read("name: x\nmaybe: {}\n")));
  EXPECT_NE(ConfigHash(Read("name: x\nwords: [ab, c]\n")),
            ConfigHash(Read("name: x\nwords: [a, bc]\n")));
}

TEST_F(YamlReaderTest, TheOptionTableListsEveryPath) {
  const std::string table = FormatOptionTable(SchemaOf<Outer>(), TreeOf(Outer{}));
  EXPECT_THAT(table, HasSubstr("| `inner.steps` | an integer, at least 0 | `3` | how many |"));
  EXPECT_THAT(table, HasSubstr("| `name` | a text | required | what it is called |"));
  EXPECT_THAT(table, HasSubstr("| `many.0.kind` | one of linear, cosine |"));
  EXPECT_THAT(table, HasSubstr("| `sections.NAME.rate` |"));
  EXPECT_THAT(table, HasSubstr("`[one, two]`"));
}

TEST_F(YamlReaderTest, TruncatedAndMutatedFilesNeverDoWorseThanAnError) {
  const std::string good =
      "name: x\ninner: {steps: 1, kind: cosine}\nmany:\n  - steps: 2\n    rate: 0.5\nwords: [a, "
      "\"b\\n\"]\n";
  int errors = 0;
  for (size_t i = 0; i < good.size(); ++i) {
    for (const char c : std::string("\0\n:{[]}\"'#&*-\xff ", 15)) {
      std::string text = good;
      text[i] = c;
      try {
        Read(text);
      } catch (const Error& error) {
        ASSERT_EQ(error.kind(), ErrorKind::kUsage);
        ASSERT_THAT(error.what(), HasSubstr("run.yaml"));
        ++errors;
      }
    }
  }
  EXPECT_GT(errors, 300);
}

}  // namespace
}  // namespace breakeven
