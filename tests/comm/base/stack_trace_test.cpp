// Stacks of threads, asked from another one, and the names of places in the program.
#include "comm/base/stack_trace.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <source_location>
#include <string>
#include <thread>

#include "comm/base/code_names.h"

namespace breakeven {
namespace {

// A thread that waits, in a function with a name to look for, until it is told to go on.
class Waiting {
 public:
  explicit Waiting(const char* name)
      : thread_([this, name] {
          ::pthread_setname_np(::pthread_self(), name);
          WaitForTheTestToEnd();
        }) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return waits_; });
  }
  ~Waiting() {
    {
      const std::lock_guard lock(mutex_);
      go_on_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

 private:
  [[gnu::noinline]] void WaitForTheTestToEnd() {
    std::unique_lock lock(mutex_);
    waits_ = true;
    changed_.notify_all();
    changed_.wait(lock, [&] { return go_on_; });
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool waits_ = false;
  bool go_on_ = false;
  std::thread thread_;
};

TEST(StackTrace, ShowsWhatAnotherThreadWaitsIn) {
  PrepareStackTraces();
  const Waiting waiting("waiter");
  const std::string text = StacksOfThreads(std::chrono::milliseconds(5000));
  EXPECT_NE(text.find("\"waiter\", state S"), std::string::npos) << text;
  EXPECT_NE(text.find("WaitForTheTestToEnd (+0x"), std::string::npos) << text;
}

TEST(StackTrace, EqualStacksAreShownOnce) {
  PrepareStackTraces();
  const Waiting first("first"), second("second");
  const std::string text = StacksOfThreads(std::chrono::milliseconds(5000));
  EXPECT_NE(text.find(" and 1 alike \"first\""), std::string::npos) << text;
  EXPECT_EQ(text.find("\"second\""), std::string::npos) << text;
}

TEST(StackTrace, TheThreadsThatAskAreLeftOut) {
  PrepareStackTraces();
  const Waiting waiting("be-watch-test");
  const std::string text = StacksOfThreads(std::chrono::milliseconds(5000));
  EXPECT_EQ(text.find("be-watch-test"), std::string::npos) << text;
}

TEST(StackTrace, FromAnotherThreadTheMainThreadComesFirst) {
  PrepareStackTraces();
  std::string text;
  std::thread([&] { text = StacksOfThreads(std::chrono::milliseconds(5000)); }).join();
  EXPECT_TRUE(text.starts_with("  main thread, state ")) << text;
  EXPECT_NE(text.find("main (+0x"), std::string::npos) << text;
}

TEST(ProcessState, OfThisProcess) {
  EXPECT_EQ(ProcessState(::getpid()), 'R');
  EXPECT_GT(ProcessStartTime(::getpid()), 0U);
  EXPECT_EQ(ProcessStartTime(::getppid()) <= ProcessStartTime(::getpid()), true);
  const pid_t none = (1 << 22) - 3;  // above pid_max's default
  EXPECT_EQ(ProcessState(none), '\0');
  EXPECT_EQ(ProcessStartTime(none), 0U);
}

TEST(CodeNames, AConstantIsFoundByItsOffset) {
  const char* file = std::source_location::current().file_name();
  const uint64_t offset = ProgramOffset(file);
  ASSERT_NE(offset, 0U);
  EXPECT_EQ(ProgramText(offset), file);
}

TEST(CodeNames, WhatIsNoConstantHasNoText) {
  int on_the_stack = 0;
  EXPECT_EQ(ProgramOffset(&on_the_stack), 0U);
  EXPECT_EQ(ProgramOffset(nullptr), 0U);
  EXPECT_EQ(ProgramText(0), "");
  EXPECT_EQ(ProgramText(~uint64_t{0} / 2), "");
  EXPECT_EQ(ProgramText(ProgramOffset(reinterpret_cast<const void*>(&ProcessState))), "");
}

TEST(CodeNames, OfLibrariesAreTheExportedOnes) {
  const auto* inside = reinterpret_cast<const char*>(&::strtoul) + 4;
  const std::string name = NameOfAddress(inside);
  EXPECT_TRUE(name.starts_with("libc.so.6: ") || name.find("strtoul") != std::string::npos) << name;
  EXPECT_EQ(NameOfAddress(nullptr), "+0x0");
}

TEST(CodeNames, AreShortened) {
  EXPECT_EQ(
      ShortFunctionName("breakeven::(anonymous namespace)::TrainingRun::Save()::{lambda()#1}::"
                        "operator()() const"),
      "TrainingRun::Save");
  EXPECT_EQ(
      ShortFunctionName("std::thread::_State_impl<std::thread::_Invoker<std::tuple<breakeven::"
                        "Loader::Loader(int)::{lambda()#1}> > >::_M_run()"),
      "std::thread::_State_impl::_M_run");
  EXPECT_EQ(ShortFunctionName("main"), "main");
  EXPECT_EQ(ShortFunctionName("PMPI_Waitall"), "PMPI_Waitall");
}

}  // namespace
}  // namespace breakeven
