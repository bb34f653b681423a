#include "comm/base/fault_point.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <csignal>
#include <string>
#include <thread>

#include "comm/base/error.h"
#include "comm/base/fault_injection.h"

namespace breakeven {
namespace {

class FaultPointTest : public testing::Test {
 protected:
  void TearDown() override {
    SetFaults("");
    SetFaultRank(0);
  }
};

TEST_F(FaultPointTest, WithoutRulesNothingHappens) {
  FaultPoint("a.b");
  EXPECT_EQ(InjectedErrno("a.b"), 0);
  EXPECT_FALSE(InjectedNan("a.b"));
}

TEST_F(FaultPointTest, NameIndexAndRankMustMatch) {
  SetFaultRank(2);
  SetFaults("a.b@3:2=throw,a.c:1=throw,a.d@5+=throw");
  FaultPoint("a.b", 2);
  FaultPoint("a.bb", 3);
  EXPECT_THROW(FaultPoint("a.b", 3), Error);
  FaultPoint("a.c", 0);
  FaultPoint("a.d", 4);
  EXPECT_THROW(FaultPoint("a.d", 5), Error);
  EXPECT_THROW(FaultPoint("a.d", 500), Error);
  SetFaultRank(1);
  FaultPoint("a.b", 3);
  EXPECT_THROW(FaultPoint("a.c", 0), Error);
}

TEST_F(FaultPointTest, AThreadMayBeARankOfItsOwn) {
  SetFaults("a.b:1=nan");
  bool in_thread = false;
  std::thread([&] {
    SetThreadFaultRank(1);
    in_thread = InjectedNan("a.b");
  }).join();
  EXPECT_TRUE(in_thread);
  EXPECT_FALSE(InjectedNan("a.b")) << "the rank of a thread reached the process";
}

TEST_F(FaultPointTest, CallsAreCountedByName) {
  SetFaults("a.b@2=errno:ENOSPC,a.c@1=errno:EIO");
  EXPECT_EQ(InjectedErrno("a.b", kCallNumber), 0);
  EXPECT_EQ(InjectedErrno("a.c", kCallNumber), 0);
  EXPECT_EQ(InjectedErrno("a.b", kCallNumber), 0);
  EXPECT_EQ(InjectedErrno("a.b", kCallNumber), ENOSPC);
  EXPECT_EQ(InjectedErrno("a.b", kCallNumber), 0);
  EXPECT_EQ(InjectedErrno("a.c", kCallNumber), EIO);
  SetFaults("a.b@0=errno:5");
  EXPECT_EQ(InjectedErrno("a.b", kCallNumber), 5) << "new rules count from 0";
}

TEST_F(FaultPointTest, ValuesActOnlyAtTheirKindOfPoint) {
  SetFaults("a.b=errno:5,a.c=nan");
  FaultPoint("a.b");
  FaultPoint("a.c");
  EXPECT_FALSE(InjectedNan("a.b"));
  EXPECT_EQ(InjectedErrno("a.c"), 0);
}

TEST_F(FaultPointTest, MistypedRulesAreUsageErrorsThatQuoteThem) {
  for (const std::string rule :
       {"a.b", "=kill", "a.b=", "a.b=explode", "a.b@=kill", "a.b@x=kill", "a.b@-1=kill",
        "a.b:=kill", "a.b:one=kill", "a.b=exit", "a.b=exit:", "a.b=exit:256", "a.b=errno:0",
        "a.b=errno:EWHAT", "a.b=kill:9", "a b=kill", "a.b@1:0@2=kill", "A.b=kill"}) {
    try {
      SetFaults(rule);
      ADD_FAILURE() << rule << " was taken";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
      EXPECT_NE(std::string(error.what()).find(rule), std::string::npos) << error.what();
    }
  }
  EXPECT_THROW(SetFaults("a.b=kill,"), Error);
  EXPECT_THROW(SetFaults("a.b=kill,,a.c=kill"), Error);
}

TEST_F(FaultPointTest, ProcessActionsEndTheProcessAsTheySay) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        SetFaults("a.b=exit:75");
        FaultPoint("a.b");
      },
      testing::ExitedWithCode(75), "");
  EXPECT_EXIT(
      {
        SetFaults("a.b=kill");
        InjectedErrno("a.b");
      },
      testing::KilledBySignal(SIGKILL), "");
}

}  // namespace
}  // namespace breakeven
