// A link whose NCCL calls do not return: whoever aborts or closes it comes back in time, and nobody touches the handle after.
#include "comm/nccl_link.h"

#include <gtest/gtest.h>
#include <nccl.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/nccl/nccl_world.h"

namespace breakeven {
namespace {

using cuda_double::FaultKind;
using cuda_double::NumCalls;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

constexpr double kAbortSeconds = 0.4;
constexpr std::chrono::seconds kInTime{
    5};  // what is bounded by the above, on a machine with other work

std::string CallIt() { return "ncclCommRegister of a test"; }

class NcclLinkTest : public NcclTest, public testing::WithParamInterface<FaultKind> {
 protected:
  void SetUp() override {
    NcclTest::SetUp();
    UseCudaDevice(Device{0});
    OpenLink(kAbortSeconds);
    ASSERT_EQ(ncclMemAlloc(&data_, 4096), ncclSuccess);
  }
  void TearDown() override {
    cuda_double::ReleaseHung();
    if (stuck_.joinable()) stuck_.join();
    link_.reset();
    EXPECT_EQ(ncclMemFree(data_), ncclSuccess);
    NcclTest::TearDown();
  }

  void OpenLink(double abort_timeout_seconds) {
    link_.emplace("rank 0 on here, cuda:0", Device{0}, abort_timeout_seconds);
    link_->Open(NcclLink::MakeId(), 1, 0, 30);
  }

  int RegisterAndBack(ncclComm* comm) {
    void* registration = nullptr;
    const ncclResult_t result = ncclCommRegister(comm, data_, 4096, &registration);
    return result == ncclSuccess ? ncclCommDeregister(comm, registration) : result;
  }

  // Calls NCCL with the handle. "" or what it threw.
  std::string Call(double timeout_seconds = 30) {
    try {
      link_->Run([this](ncclComm* comm) { return RegisterAndBack(comm); }, CallIt, timeout_seconds);
      return "";
    } catch (const Error& error) {
      return error.what();
    }
  }

  // A thread that is inside NCCL and does not come back, for as long as `kind` says.
  void CallAndGetStuck(FaultKind kind, double timeout_seconds = 30) {
    cuda_double::Inject({.call = "ncclCommRegister", .kind = kind});
    stuck_ = std::thread([this, timeout_seconds] { ending_ = Call(timeout_seconds); });
    ASSERT_TRUE(Eventually([] { return NumCalls("ncclCommRegister") == 1; }));
  }

  // How the stuck one ended.
  std::string Ending() {
    stuck_.join();
    return ending_;
  }

  // Runs what must be done in time; where it is not, lets go of what hangs, so that the test ends.
  template <typename Work>
  static void ExpectInTime(const Work& work) {
    Gate done;
    std::thread thread([&] {
      work();
      done.Open();
    });
    const auto begin = std::chrono::steady_clock::now();
    if (!done.Pass()) {
      ADD_FAILURE() << "hangs";
      cuda_double::ReleaseHung();
    }
    thread.join();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, kInTime);
  }

  std::string ClosingError(double timeout_seconds) {
    try {
      link_->Close(timeout_seconds);
      return "";
    } catch (const Error& error) {
      return error.what();
    }
  }

  std::optional<NcclLink> link_;
  void* data_ = nullptr;
  std::thread stuck_;
  std::string ending_;
};

TEST_P(NcclLinkTest, AbortsUnderACallThatDoesNotReturn) {
  CallAndGetStuck(GetParam());
  ExpectInTime([&] { EXPECT_TRUE(link_->Fail("no more")); });
  EXPECT_EQ(NumCalls("ncclCommAbort"), 1);
  // Everybody else is told at once.
  ExpectInTime([&] {
    EXPECT_EQ(Call(), "no more");
    EXPECT_THROW(link_->Check(), Error);
    EXPECT_TRUE(link_->LooksFailed(/*log=*/false));
    EXPECT_FALSE(link_->Fail("again"));
  });
  cuda_double::ReleaseHung();
  EXPECT_EQ(Ending(), "no more");
  EXPECT_EQ(NumCalls("ncclCommAbort"), 1);
  EXPECT_EQ(NumCalls("ncclCommRegister"), 1);
}

TEST_P(NcclLinkTest, OfTwoAbortsOneAborts) {
  CallAndGetStuck(GetParam());
  std::atomic<int> num_first = 0;
  ExpectInTime([&] {
    std::thread other([&] { num_first += link_->Fail("one"); });
    num_first += link_->Fail("another");
    other.join();
  });
  EXPECT_EQ(num_first, 1);
  EXPECT_EQ(NumCalls("ncclCommAbort"), 1);
}

// The watch neither waits for it nor asks NCCL beside it, and finds it when it is late.
TEST_P(NcclLinkTest, WhoLooksFindsACallThatDoesNotReturn) {
  CallAndGetStuck(GetParam(), /*timeout_seconds=*/0.2);
  const int num_asked = NumCalls("ncclCommGetAsyncError");
  ExpectInTime([&] { EXPECT_TRUE(Eventually([&] { return link_->LooksFailed(/*log=*/false); })); });
  EXPECT_EQ(NumCalls("ncclCommGetAsyncError"), num_asked);
  cuda_double::ReleaseHung();
  EXPECT_THAT(Ending(), AllOf(StartsWith("rank 0 on here, cuda:0: ncclCommRegister of a test"),
                              HasSubstr("has not returned")));
}

TEST_P(NcclLinkTest, WhoWaitsForItsTurnDoesNotWaitForEver) {
  CallAndGetStuck(GetParam());
  ExpectInTime([&] { EXPECT_THAT(Call(0.1), HasSubstr("has waited 0.1 s for")); });
  cuda_double::ReleaseHung();
  EXPECT_THAT(Ending(), HasSubstr("has waited 0.1 s for"));
}

TEST_P(NcclLinkTest, AbortsUnderAQuestionThatIsNotAnswered) {
  const int num_asked = NumCalls("ncclCommGetAsyncError");
  cuda_double::Inject({.call = "ncclCommGetAsyncError", .kind = GetParam()});
  stuck_ = std::thread([this] { EXPECT_TRUE(link_->LooksFailed(/*log=*/false)); });
  ASSERT_TRUE(Eventually([&] { return NumCalls("ncclCommGetAsyncError") == num_asked + 1; }));
  ExpectInTime([&] {
    link_->Check();  // another one asks: not its business
    EXPECT_TRUE(link_->Fail("no more"));
    EXPECT_EQ(Call(), "no more");
  });
}

TEST_P(NcclLinkTest, ClosesInTimeWhereFinalizeDoesNotReturn) {
  cuda_double::Inject({.call = "ncclCommFinalize", .kind = GetParam()});
  ExpectInTime([&] {
    EXPECT_THAT(ClosingError(0.2), HasSubstr("ncclCommFinalize has not returned after 0.2 s"));
  });
  EXPECT_EQ(NumCalls("ncclCommAbort"), 1);
  EXPECT_EQ(NumCalls("ncclCommDestroy"), 0);
}

INSTANTIATE_TEST_SUITE_P(Until, NcclLinkTest,
                         testing::Values(FaultKind::kHangUntilAbort, FaultKind::kHang),
                         [](const auto& parameters) {
                           return parameters.param == FaultKind::kHang ? "ForEver" : "Aborted";
                         });

class NcclLinkOnce : public NcclLinkTest {};
INSTANTIATE_TEST_SUITE_P(Once, NcclLinkOnce, testing::Values(FaultKind::kHang),
                         [](const auto&) { return "Once"; });

// Destroy has the handle: an abort that comes then leaves it alone.
TEST_P(NcclLinkOnce, ClosesInTimeWhereDestroyDoesNotReturn) {
  cuda_double::Inject({.call = "ncclCommDestroy", .kind = FaultKind::kHang});
  ExpectInTime([&] {
    std::thread other([&] {
      EXPECT_TRUE(Eventually([] { return NumCalls("ncclCommDestroy") == 1; }));
      EXPECT_FALSE(link_->Fail("no more"));
    });
    EXPECT_THAT(ClosingError(0.2), HasSubstr("ncclCommDestroy has not returned after 0.2 s"));
    other.join();
  });
  EXPECT_THAT(Call(), HasSubstr("ncclCommDestroy has not returned"));
  EXPECT_EQ(NumCalls("ncclCommAbort"), 0);
}

// An abort waits for a call that is only slow: NCCL wants nobody inside.
TEST_P(NcclLinkOnce, LetsASlowCallLeaveBeforeItAborts) {
  link_->Close(30);
  OpenLink(/*abort_timeout_seconds=*/60);
  CallAndGetStuck(FaultKind::kHang);
  std::thread other([&] { EXPECT_TRUE(link_->Fail("no more")); });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_EQ(NumCalls("ncclCommAbort"), 0);
  cuda_double::ReleaseHung();
  other.join();
  EXPECT_EQ(Ending(), "no more");
}

// Calls, questions, aborts and a close at any moment: the double sees whoever breaks NCCL's rules, ThreadSanitizer the rest.
TEST_P(NcclLinkOnce, AnyOrderOfAllIsSafe) {
  for (int round = 0; round < 60; ++round) {
    NcclLink link("here", Device{0}, 30);
    UseCudaDevice(Device{0});
    link.Open(NcclLink::MakeId(), 1, 0, 30);
    const int num_before_abort = round * 7 % 40;
    const bool closes = round % 2 == 0;
    std::atomic<int> num_done = 0;
    const auto until_dead = [&](const auto& work) {
      try {
        for (;;) {
          ++num_done;
          work();
          std::this_thread::sleep_for(std::chrono::microseconds(20));
        }
      } catch (const Error&) {
        num_done += 1000;  // nobody waits for more
      }
    };
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i) {
      threads.emplace_back(until_dead, [&] {
        link.Run([&](ncclComm* comm) { return RegisterAndBack(comm); }, CallIt, 30);
      });
    }
    threads.emplace_back(until_dead, [&] { link.Check(); });
    for (int i = 0; i < 2; ++i) {
      threads.emplace_back([&] {
        while (num_done < num_before_abort) std::this_thread::yield();
        link.Fail("no more");
      });
    }
    if (closes) {
      try {
        link.Close(30);
      } catch (const Error&) {
      }
    }
    for (std::thread& thread : threads) thread.join();
  }
}

}  // namespace
}  // namespace breakeven
