#include "launch/config_kind.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "comm/base/error.h"
#include "launch/config_print.h"
#include "launch/yaml_document.h"

namespace breakeven {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

struct Bread {
  std::string flour;
  double water = 0;
  void VisitFields(FieldVisitor& v) {
    v.Visit({"flour", "which"}, flour);
    v.Visit({"water", "how much"}, water);
  }
};

struct Soup {
  std::string pot;
  double water = 0;
  void VisitFields(FieldVisitor& v) {
    v.Visit({"pot", "which"}, pot);
    v.Visit({"water", "how much"}, water);
  }
};

struct Knife {
  std::string edge;
  void VisitFields(FieldVisitor& v) { v.Visit({"edge", "which"}, edge); }
};

struct Numbered : FileKind {
  int number;
};

// The number of the kind, or what is said against it.
std::string Choice(const std::string& yaml, const std::vector<std::string>& set = {}) {
  const std::vector<Numbered> kinds = {
      {{"a bread", "bake", SchemaOf<Bread>()}, 1},
      {{"a soup", "cook", SchemaOf<Soup>()}, 2},
      {{"a knife", "", SchemaOf<Knife>()}, 3},
  };
  ConfigPlace place;
  place.source = "f.yaml";
  try {
    return std::to_string(ChooseKind(kinds, "f.yaml", ParseYamlText(yaml, place), set).number);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    return error.what();
  }
}

TEST(ConfigKindTest, MostKeysDecide) {
  EXPECT_EQ(Choice("flour: rye\nwater: 3\n"), "1");
  EXPECT_EQ(Choice("pot: big\nwater: 3\n"), "2");
  EXPECT_EQ(Choice("edge: dull\nwatre: 3\n"), "3");
}

TEST(ConfigKindTest, ATieIsRefusedAndNamesWhatItIsBetween) {
  EXPECT_EQ(
      Choice("water: 3\n"),
      "f.yaml: its keys fit a bread and a soup alike. Give keys that only one of them has, or "
      "cluster.command: bake or cook");
  EXPECT_THAT(Choice("flour: rye\nedge: dull\n"),
              AllOf(HasSubstr("a bread and a knife"), HasSubstr("cluster.command: bake")));
  EXPECT_THAT(Choice(""), HasSubstr("it has no key of a bread, a soup or a knife"));
  EXPECT_THAT(Choice("water: 3\n", {"cluster.command=fry"}), HasSubstr("fit a bread and a soup"));
}

TEST(ConfigKindTest, TheCommandThatIsSaidWins) {
  EXPECT_EQ(Choice("water: 3\ncluster: {command: cook}\n"), "2");
  EXPECT_EQ(Choice("water: 3\ncluster: {command: cook}\n", {"cluster.command=bake"}), "1");
  EXPECT_EQ(Choice("water: 3\n", {"cluster.command=bake", "cluster.command=cook"}), "2");
  EXPECT_EQ(Choice("edge: dull\ncluster: {command: ''}\n"), "3") << "none is no word of a knife's";
}

// Its reader says what is wrong, which is more than that nothing fits.
TEST(ConfigKindTest, WhatIsNoMapIsForTheReaderToRefuse) {
  EXPECT_EQ(Choice("[flour, water]\n"), "1");
}

}  // namespace
}  // namespace breakeven
