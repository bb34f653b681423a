// One OpenMP run-time in the process, and the loops of our files share their work over its threads.
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <time.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <set>
#include <string>

#include "trainer/autograd/block_functions.h"
#include "trainer/model/flat_parameters.h"
#include "trainer/model/model.h"

namespace breakeven {
namespace {

// Two run-times would have two pools of threads, twice as many as cores.
TEST(ThreadsTest, ExactlyOneOpenMpRuntimeIsMapped) {
  at::parallel_for(0, 4, 1, [](int64_t, int64_t) {});
  std::ifstream maps("/proc/self/maps");
  ASSERT_TRUE(maps.good());
  std::set<std::string> runtimes;
  for (std::string line; std::getline(maps, line);) {
    const size_t slash = line.find('/');
    if (slash == std::string::npos) continue;
    const std::string path = line.substr(slash);
    const std::string name = path.substr(path.rfind('/') + 1);
    if (name.starts_with("libgomp") || name.starts_with("libomp") || name.starts_with("libiomp")) {
      runtimes.insert(path);
    }
  }
  std::string found;
  for (const std::string& path : runtimes) found += "\n  " + path;
  EXPECT_EQ(runtimes.size(), 1u) << found;
  for (const std::string& path : runtimes)
    EXPECT_NE(path.find("libgomp"), std::string::npos) << path;
}

// Processor time of the calling thread alone, least of several runs: what others took over is not in
// it, nor what other processes of this machine do.
double OwnSeconds(int threads, const std::function<void()>& work) {
  const int before = at::get_num_threads();
  at::set_num_threads(threads);
  work();  // pages and threads are there
  double least = 1e9;
  for (int run = 0; run < 5; ++run) {
    timespec begin = {}, end = {};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
    work();
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
    least = std::min(least, static_cast<double>(end.tv_sec - begin.tv_sec) +
                                1e-9 * static_cast<double>(end.tv_nsec - begin.tv_nsec));
  }
  at::set_num_threads(before);
  return least;
}

// A half would be perfect; without -fopenmp for our files it is the whole. The work must be long beside the
// milliseconds that a thread may spin for the other at the end, and a busy machine gets another chance.
void ExpectShared(const std::string& what, const std::function<void()>& work) {
  double alone = 0, shared = 0;
  for (int attempt = 0; attempt < 4; ++attempt) {
    alone = OwnSeconds(1, work);
    shared = OwnSeconds(2, work);
    if (shared < 0.8 * alone) return;
  }
  ADD_FAILURE() << what << ": the calling thread worked " << alone << " s alone and " << shared
                << " s of two";
}

TEST(ThreadsTest, InitialisationIsShared) {
  ModelStorage storage;
  const std::unique_ptr<Model> model = BuildModel(
      ParseModelConfig(R"({"model_type": "gpt2", "vocab_size": 16384, "n_embd": 64, "n_layer": 1,
                           "n_head": 2, "n_positions": 16})",
                       "config.json"),
      storage);
  ExpectShared("InitializeWeights", [&] { InitializeWeights(*model, 1); });
}

TEST(ThreadsTest, RowPassesAreShared) {
  const c10::NoGradGuard no_gradients;
  const at::Tensor gate_up = at::randn({4096, 4096});
  ExpectShared("SwiGlu", [&] { SwiGlu(gate_up); });
}

}  // namespace
}  // namespace breakeven
