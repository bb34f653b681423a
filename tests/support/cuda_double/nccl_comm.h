// Communicators of the double: what the ranks of one id share, and what each has.
#ifndef BREAKEVEN_TESTS_SUPPORT_CUDA_DOUBLE_NCCL_COMM_H_
#define BREAKEVEN_TESTS_SUPPORT_CUDA_DOUBLE_NCCL_COMM_H_

#include <nccl.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace cuda_double {

// One collective as one rank calls it.
struct Collective {
  std::string name;
  const void* send = nullptr;
  void* receive = nullptr;
  size_t count = 0;  // as the function counts
  ncclDataType_t type = ncclFloat32;
  ncclRedOp_t op = ncclSum;
  int root = 0;
  bool operator==(const Collective& other) const {  // what all ranks must agree on
    return name == other.name && count == other.count && type == other.type && op == other.op &&
           root == other.root;
  }
};

// Shared by the ranks of an id. Its mutex guards everything of its communicators too.
struct Clique {
  explicit Clique(int size) : num_ranks(size), devices(static_cast<size_t>(size), -1) {}
  const int num_ranks;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<int> devices;                                  // by rank
  std::map<std::pair<std::string, uint64_t>, int> arrivals;  // of a meeting: how many have come
  struct Meeting {
    std::vector<Collective> posts;
    int num_posted = 0;
    int num_read = 0;
    int num_left = 0;
  };
  std::map<uint64_t, Meeting> meetings;  // of collectives, by their number
  int num_active =
      0;  // collectives that touch any rank's memory right now: an abort waits for them
};

// One rank's communicator. Shared with the stream work that it launched.
class CommState {
 public:
  CommState(std::shared_ptr<Clique> the_clique, int the_rank, int the_device);
  ~CommState();

  // In the communicator's own thread, one after the other; state() is ncclInProgress until it has run.
  ncclResult_t Start(std::function<ncclResult_t()> job);
  // What a call must see before it does anything: ncclInvalidArgument while something is in progress, as NCCL says.
  ncclResult_t CheckReady();
  ncclResult_t async_error();
  std::string last_error();

  // In a job: waits until all ranks have come to the `kind` of the same number, or the abort.
  ncclResult_t MeetAll(const std::string& kind);
  ncclResult_t AwaitAbort();
  ncclResult_t RefuseDoubleDevices();

  // In a stream: the collective itself. Returns also when aborted.
  void RunCollective(const Collective& collective, uint64_t number, int late_error, bool arrives);

  void Register(void* data);
  void Deregister(void* data);
  void Abort();
  void StopThread();
  void AwaitWork();  // until launched collectives have ended, or the abort
  bool aborted();

  const std::shared_ptr<Clique> clique;
  const int rank;
  const int device;
  // Guarded by the clique's mutex.
  bool connected = false;
  bool finalized = false;
  uint64_t num_collectives = 0;
  int num_launched = 0;           // collectives that are on a stream and have not ended
  int num_inside = 0;             // calls that have not returned
  std::atomic<int> num_hung = 0;  // of these, calls that a fault holds
  std::vector<void*> registrations;

 private:
  void Run();
  void Fail(int code, const std::string& text);  // under the mutex
  void Compute(const Collective& mine, const std::vector<Collective>& posts,
               std::vector<char>* result) const;

  ncclResult_t state_ = ncclSuccess;
  std::string last_error_;
  bool aborted_ = false;
  int num_running_ = 0;  // collectives of this rank that have begun on a stream and not ended
  bool stop_ = false;
  std::map<std::string, uint64_t> num_meetings_;
  std::deque<std::function<ncclResult_t()>> jobs_;
  std::thread thread_;
};

}  // namespace cuda_double

#endif  // BREAKEVEN_TESTS_SUPPORT_CUDA_DOUBLE_NCCL_COMM_H_
