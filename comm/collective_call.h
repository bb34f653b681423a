// Pure. A call of a collective, and who may look at it: what both planes have in common.
#ifndef BREAKEVEN_COMM_COLLECTIVE_CALL_H_
#define BREAKEVEN_COMM_COLLECTIVE_CALL_H_

#include <cstdint>
#include <memory>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "comm/base/error.h"
#include "comm/device.h"

namespace breakeven {

enum class Collective : uint8_t {
  kNone,
  kAllocate,
  kAllocateShared,
  kAllReduce,
  kReduceScatter,
  kAllGather,
  kStartReduceScatter,
  kStartAllGather,
  kBroadcast,
  kBarrier,
  kComplete,
  kClose
};

std::string_view CollectiveName(Collective collective);  // "AllReduce"
std::string_view DTypeName(DType dtype);                 // "float32"

// The two planes, each numbering its calls by itself.
enum class Plane : uint8_t { kControl, kData };
std::string_view PlaneName(Plane plane);  // "control", "data"

// One call of a collective on this rank: what the ranks must agree on, and where it stands in the program.
struct CollectiveCall {
  int64_t sequence = 0;  // number of the call on this communicator: 0, 1, …
  Plane plane = Plane::kData;
  Collective collective = Collective::kNone;
  int64_t count =
      0;  // elements of the larger buffer; bytes of an allocation; 0 of texts, whose sizes may differ
  DType dtype = DType::kUInt8;
  ReduceOp op = ReduceOp::kSum;
  int root = 0;
  // The call returns when it is launched: on a GPU's stream, or for the other ranks to do their share. Whether it is done
  // is seen later, by Barrier or Complete at the latest.
  bool only_launches = false;
  std::source_location site = {};

  int64_t num_bytes() const { return count * SizeOf(dtype); }
  std::string Text() const;  // "AllReduce, call 17: sum of 1000 float32"
  std::string Site() const;  // "optim/gradient_buckets.cpp:100"
};

// What carries the messages has failed. ObservedCalls adds in which call of ours.
class TransportError : public Error {
 public:
  TransportError(const std::string& what, const std::string& remedy)
      : Error(ErrorKind::kCommunication, what + ". " + remedy), what_(what), remedy_(remedy) {}
  TransportError In(const CollectiveCall& call) const {
    return {what_ + ", in " + call.Text() + " at " + call.Site(), remedy_};
  }

 private:
  std::string what_, remedy_;
};

// "optim/gradient_buckets.cpp:100": the last folder and the file of the path that the compiler wrote.
std::string SiteText(std::string_view file_name, uint32_t line);

// Sees every collective of a plane, on the thread that calls it: checks and watchdogs. Begin may throw, and the
// collective is then not begun. End comes also after one that failed; of a call that only_launches it says no more than that.
class CollectiveObserver {
 public:
  virtual ~CollectiveObserver() = default;
  virtual void Begin(const CollectiveCall& call) = 0;
  virtual void End(const CollectiveCall& call) noexcept = 0;
  virtual void Close() {}           // COLLECTIVE. After the plane's own Close
  virtual void Abort() noexcept {}  // before Control::Abort ends the job: this rank ends on purpose
};

// The observers of a plane, and the calls that they see: what Communicator and Control are made with.
class ObservedCalls {
 public:
  explicit ObservedCalls(Plane plane) : plane_(plane) {}

  void Add(std::unique_ptr<CollectiveObserver> observer) {
    observers_.push_back(std::move(observer));
  }

  // Numbers the call; runs `work` between the observers' Begin and End, in order and in reverse.
  template <typename Work>
  auto Run(CollectiveCall call, const Work& work) {
    call.sequence = num_calls_++;
    call.plane = plane_;
    const Observation observation(observers_, call);
    try {
      return work();
    } catch (const TransportError& error) {
      throw error.In(call);
    }
  }

  void Close() {
    for (const auto& observer : observers_) observer->Close();
  }
  void Abort() noexcept {
    for (const auto& observer : observers_) observer->Abort();
  }

 private:
  using Observers = std::vector<std::unique_ptr<CollectiveObserver>>;

  class Observation {
   public:
    Observation(const Observers& observers, const CollectiveCall& call)
        : observers_(observers), call_(call) {
      try {
        for (; num_begun_ < observers_.size(); ++num_begun_) observers_[num_begun_]->Begin(call_);
      } catch (...) {
        EndAll();
        throw;
      }
    }
    ~Observation() { EndAll(); }
    Observation(const Observation&) = delete;
    Observation& operator=(const Observation&) = delete;

   private:
    void EndAll() noexcept {
      while (num_begun_ > 0) observers_[--num_begun_]->End(call_);
    }
    const Observers& observers_;
    const CollectiveCall& call_;
    size_t num_begun_ = 0;
  };

  const Plane plane_;
  int64_t num_calls_ = 0;
  Observers observers_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_COLLECTIVE_CALL_H_
