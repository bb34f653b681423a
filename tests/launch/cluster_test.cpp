// A config as a job on a cluster: what is read, refused, estimated, and written.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "comm/base/error.h"
#include "launch/cluster_checks.h"
#include "launch/cluster_history.h"
#include "launch/cluster_job.h"
#include "launch/cluster_script.h"
#include "tests/data_pipeline/dataset_fixture.h"
#include "tests/support/temp_folder.h"
#include "trainer/total_steps.h"

namespace breakeven {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class ClusterTest : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(folder_ / "run");
    for (const char* name : {"train.h5", "config.json", "program"}) Write(name, "");
    checks_.program = folder_ / "program";
    checks_.local_file_system = [](const std::string&) { return ""; };
  }

  std::string Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
    return folder_ / name;
  }

  // A training on 2 x 2 ranks, with more of a config behind it.
  ClusterJob Train(const std::vector<std::string>& set = {}, const std::string& more = "") {
    const std::string f = folder_.path();
    const std::string text = "model: {config: " + f + "/config.json, tokenizer: " + f +
                             "}\ndata: " + f + "/train.h5\noutput: " + f +
                             "/run\nmax_steps: 100\n" +
                             "batching: {global_batch: {examples: 8}}\n" + more;
    return ReadClusterJob(Write("my train.yaml", text), Two(set));
  }
  static std::vector<std::string> Two(std::vector<std::string> set) {
    set.insert(set.begin(), {"cluster.nodes=2", "cluster.ranks_per_node=2"});
    return set;
  }

  std::string ErrorOf(const std::function<void()>& work) {
    try {
      work();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
      return error.what();
    }
    return "no error";
  }
  std::string ErrorOfCheck(const std::vector<std::string>& set) {
    return ErrorOf([&] { CheckClusterJob(Train(set), checks_, 120); });
  }

  const TempFolder folder_;
  ClusterChecks checks_;
};

const char* NoVariable(const char*) { return nullptr; }

TEST_F(ClusterTest, TheKeysTellWhichCommandAConfigIsFor) {
  EXPECT_EQ(Train().command, "train");
  const std::string eval =
      Write("e.yaml",
            "models: {a: m}\ntask: {name: t, splits: {dev: {path: d.jsonl}}, "
            "doc_to_text: a, doc_to_target: b, doc_to_choice: [a]}\noutput: o\n");
  const ClusterJob job = ReadClusterJob(eval, {});
  EXPECT_EQ(job.command, "eval");
  EXPECT_EQ(FormatPaths(job.paths),
            "output\toutput\to\ninput\tmodels.a\tm\ninput\ttask.splits.dev.path\td.jsonl\n");
  const std::string bare = Write("bare.yaml", "output: o\n");
  EXPECT_THAT(ErrorOf([&] { ReadClusterJob(bare, {}); }), HasSubstr("cluster.command"));
  EXPECT_THAT(ErrorOf([&] { ReadClusterJob(bare, {"cluster.command=tarin"}); }),
              HasSubstr("cluster.command"));
}

// The output is what logs are named after and what the history is read from: no other path may pass for it.
TEST_F(ClusterTest, AnEvalWithoutOutputIsRefused) {
  const std::string eval =
      Write("e.yaml",
            "models: {a: m}\ntask: {name: t, splits: {dev: {path: d.jsonl}}, "
            "doc_to_text: a, doc_to_target: b, doc_to_choice: [a]}\nsplit: dev\n");
  EXPECT_EQ(ErrorOf([&] { ReadClusterJob(eval, {}); }),
            eval + ": output: no folder given for the records and the table");
  EXPECT_EQ(ReadClusterJob(eval, {"output=o"}).output(), "o");
}

TEST_F(ClusterTest, TheConfigsOfThisRepositoryCanBeLaunched) {
  for (const auto& [name, command] :
       std::map<std::string, std::string>{{"quickstart_train", "train"},
                                          {"quickstart_eval", "eval"},
                                          {"study_catalogue", "study"},
                                          {"llama_gpu", "train"}}) {
    const std::string path = std::string(BREAKEVEN_SOURCE_DIR) + "/configs/" + name + ".yaml";
    EXPECT_EQ(ReadClusterJob(path, {}).command, command) << name;
  }
}

TEST_F(ClusterTest, SiteFilesOfThisRepositoryAreReadAndValid) {
  int num_sites = 0;
  for (const auto& entry :
       fs::directory_iterator(std::string(BREAKEVEN_SOURCE_DIR) + "/cluster/sites")) {
    const ClusterJob job = Train({"cluster.site=" + entry.path().string()});
    EXPECT_EQ(job.cluster.site.name, entry.path().stem().string());
    ++num_sites;
  }
  EXPECT_GE(num_sites, 2);
}

TEST_F(ClusterTest, WhatWouldFailLaterIsRefusedFirst) {
  EXPECT_EQ(ErrorOfCheck({}), "no error");
  EXPECT_THAT(ErrorOfCheck({"data=nowhere.h5"}), HasSubstr("data: nowhere.h5 does not exist"));
  EXPECT_THAT(ErrorOfCheck({"device=cuda"}), HasSubstr("cluster.gpus_per_rank: 0"));
  EXPECT_THAT(ErrorOfCheck({"cluster.gpus_per_rank=1", "cluster.site.gpus_per_node=1"}),
              HasSubstr("cluster.ranks_per_node 2 are more than cluster.site.gpus_per_node: 1"));
  EXPECT_THAT(ErrorOfCheck({"cluster.cpus_per_rank=3", "cluster.site.cores_per_node=4"}),
              HasSubstr("more than cluster.site.cores_per_node: 4"));
  EXPECT_THAT(ErrorOfCheck({"threads=3", "cluster.site.cores_per_node=4"}),
              HasSubstr("threads: 3 x cluster.ranks_per_node 2 are more than "
                        "cluster.site.cores_per_node: 4"));
  EXPECT_EQ(ErrorOfCheck({"threads=2", "cluster.site.cores_per_node=4"}), "no error");
  EXPECT_THAT(ErrorOfCheck({"resume=none"}), HasSubstr("resume: none"));
  EXPECT_THAT(ErrorOfCheck({"cluster.time_minutes=4"}), HasSubstr("Give at least 5"));
  EXPECT_THAT(ErrorOfCheck({"cluster.time_minutes=90", "cluster.site.max_time_minutes=60"}),
              HasSubstr("max_time_minutes: 60"));
  EXPECT_THAT(ErrorOfCheck({"cluster.stage_data=true"}), HasSubstr("cluster.site.local_scratch"));
  EXPECT_THAT(ErrorOfCheck({"cluster.sweep=[{set: [seed=1]}]"}), HasSubstr("no output=FOLDER"));
  EXPECT_THAT(ErrorOfCheck({"cluster.sweep=[{set: [output=a]}, {set: [output=a]}]"}),
              HasSubstr("cluster.sweep.1.set: output=a is another case's"));
}

TEST_F(ClusterTest, NothingOfASiteBreaksOutOfTheScript) {
  EXPECT_THAT(ErrorOfCheck({"cluster.site.environment={\"A;rm\": x}"}), HasSubstr("variable"));
  EXPECT_THAT(ErrorOfCheck({"cluster.site.environment={A: \"x\\ny\"}"}), HasSubstr("line breaks"));
  EXPECT_THAT(ErrorOfCheck({"cluster.site.partition=\"a b\""}), HasSubstr("one plain word"));
  EXPECT_THAT(ErrorOfCheck({"cluster.site.sbatch_options=[exclusive]"}), HasSubstr("whole option"));
  EXPECT_EQ(ShellQuote("a b'c$(d)"), "'a b'\\''c$(d)'");
  EXPECT_EQ(ShellQuote("lr=1e-5,x"), "lr=1e-5,x");
  EXPECT_EQ(ShellQuote(""), "''");
}

TEST_F(ClusterTest, PathsMustBeSeenByAllNodes) {
  checks_.local_file_system = [](const std::string&) { return "ext4"; };
  EXPECT_THAT(ErrorOfCheck({}), HasSubstr("lies on ext4, which other nodes do not see"));
  EXPECT_EQ(ErrorOfCheck({"cluster.nodes=1"}), "no error");
  const std::string shared = "cluster.site.shared_paths=[" + folder_.path() + "]";
  EXPECT_EQ(ErrorOfCheck({shared}), "no error");
  EXPECT_THAT(ErrorOfCheck({shared, "output=" + folder_.path() + "_elsewhere/run"}),
              HasSubstr("output: " + folder_.path() + "_elsewhere/run is not below"));
  fs::create_symlink("/etc", folder_ / "link");
  EXPECT_THAT(ErrorOfCheck({shared, "data=" + folder_.path() + "/link/passwd"}),
              HasSubstr("is not below"))
      << "a link out of the shared folder";
}

TEST_F(ClusterTest, TimesComeFromTheLastRun) {
  EXPECT_EQ(LeadSeconds(ReadRunHistory(folder_ / "run")), 120);
  std::string metrics = "torn {\n[1]\n{\"event\":3}\n";
  for (int step = 1; step <= 40; ++step) {
    metrics += "{\"event\":\"step\",\"step\":" + std::to_string(step) +
               ",\"step_seconds\":" + (step == 7 ? "9.0" : "2.0") + "}\n";
  }
  metrics += "{\"event\":\"checkpoint\",\"step\":40,\"seconds\":100.5}\n{\"event\":\"checkpoint\",";
  Write("run/metrics.jsonl", metrics);
  const RunHistory history = ReadRunHistory(folder_ / "run");
  EXPECT_EQ(history.last_step, 40);
  EXPECT_EQ(history.step_seconds, 2.0);
  EXPECT_EQ(history.longest_step_seconds, 9.0);
  EXPECT_EQ(history.longest_save_seconds, 100.5);
  EXPECT_EQ(LeadSeconds(history), 240) << "2 x 100.5 + 9 + 30";
  EXPECT_EQ(SecondsLeft(history, 100), 120);
  const std::string text = DescribeTime(Train({"cluster.time_minutes=5"}), history, 100, 240);
  EXPECT_THAT(text, HasSubstr("did 40 steps, 2 s each"));
  EXPECT_THAT(text,
              HasSubstr("the rest of 100 takes 2 min 00 s: more than cluster.time_minutes: 5"));
  EXPECT_THAT(text, HasSubstr("requeued about 1 time(s)"));
  EXPECT_THAT(DescribeTime(Train(), history, 100, 240), Not(HasSubstr("requeued")));
}

TEST_F(ClusterTest, TheMedianOfAnEvenNumberOfStepsLiesBetweenTwo) {
  std::string metrics;
  for (const char* seconds : {"9.0", "1.0", "4.0", "2.0"}) {
    metrics += std::string("{\"event\":\"step\",\"step\":1,\"step_seconds\":") + seconds + "}\n";
  }
  Write("run/metrics.jsonl", metrics);
  const RunHistory history = ReadRunHistory(folder_ / "run");
  EXPECT_EQ(history.step_seconds, 3.0);
  EXPECT_EQ(history.longest_step_seconds, 9.0);
}

TEST_F(ClusterTest, TheUsersEnvironmentWinsOverTheSiteAndTheSiteOverDefaults) {
  const ClusterJob job = Train({"cluster.site.name=big",
                                "cluster.site.environment={NCCL_DEBUG: WARN, FI_PROVIDER: efa, "
                                "OMPI_MCA_oob_tcp_keepalive_time: 7}"});
  const auto get = [](const char* name) -> const char* {
    return std::string_view(name) == "NCCL_DEBUG" ? "INFO" : nullptr;
  };
  std::map<std::string, std::string> found;
  for (const JobVariable& v : JobVariables(job, "p", 120, get)) {
    found[v.name] = v.value + " " + v.from + " " + v.instead_of;
  }
  EXPECT_EQ(found["NCCL_DEBUG"], "INFO environment WARN");
  EXPECT_EQ(found["FI_PROVIDER"], "efa site big ");
  EXPECT_EQ(found["OMPI_MCA_oob_tcp_keepalive_time"], "7 site big ");
  EXPECT_EQ(found["OMPI_MCA_oob_tcp_keepalive_intvl"], "2 default ");
  EXPECT_EQ(found["BREAKEVEN_LEAD_SECONDS"], "120 cluster ");
  EXPECT_THAT(FormatVariables(JobVariables(job, "p", 120, get)),
              HasSubstr("environment, over site big's WARN"));
}

TEST_F(ClusterTest, SbatchLetsTheEnvironmentWinOverThePartition) {
  SiteConfig site;
  site.partition = "gpu";
  EXPECT_EQ(FormatVariables(SbatchVariables(site, NoVariable)), "SBATCH_PARTITION=gpu  site\n");
  const auto get = [](const char* name) -> const char* {
    return std::string_view(name) == "SBATCH_PARTITION" ? "urgent" : nullptr;
  };
  EXPECT_EQ(FormatVariables(SbatchVariables(site, get)),
            "SBATCH_PARTITION=urgent  environment, over site's gpu\n");
}

TEST_F(ClusterTest, TheScriptHoldsHeadCommonPartAndJob) {
  const ClusterJob job = Train({"cluster.gpus_per_rank=1", "cluster.site.gpus_per_node=2",
                                "cluster.site.modules=[openmpi/4.1]", "cluster.time_minutes=95",
                                "cluster.site.partition=gpu", "model.tokenizer=a b"});
  const std::string script =
      SlurmScript(job, JobVariables(job, "/p", 200, NoVariable), "/work dir", 200);
  for (const char* line :
       {"#!/bin/bash\n", "#SBATCH --job-name=my_train\n", "#SBATCH --nodes=2\n",
        "#SBATCH --ntasks-per-node=2\n", "#SBATCH --gpus-per-node=2\n", "#SBATCH --time=1:35:00\n",
        "#SBATCH --signal=B:USR1@200\n", "#SBATCH --requeue\n", "#SBATCH --partition=gpu\n",
        "#SBATCH --chdir=\"/work dir\"\n", "\nmodule load openmpi/4.1 || exit 78\n",
        "\nset_default BREAKEVEN_PROGRAM /p default\n", " --set 'model.tokenizer=a b'\n"}) {
    EXPECT_THAT(script, HasSubstr(line));
  }
  EXPECT_THAT(script, HasSubstr(std::string(CommonPart())));
  EXPECT_THAT(std::string(CommonPart()), HasSubstr("run_job() {"));
  EXPECT_LT(script.rfind("#SBATCH --output"), script.find("say() {")) << "Slurm reads no further";
  EXPECT_THAT(script, Not(HasSubstr("--account")));
  const std::string syntax = "bash -n " + ShellQuote(Write("script.sh", script));
  EXPECT_EQ(std::system(syntax.c_str()), 0);
}

TEST_F(ClusterTest, ASweepIsAnArrayThatPicksItsSettings) {
  const ClusterJob job =
      Train({"cluster.sweep=[{set: [seed=1, output=r/1]}, {set: [\"seed=2\", \"output=r 2\"]}]",
             "cluster.sweep_at_once=1"});
  const std::string script = SlurmScript(job, JobVariables(job, "/p", 120, NoVariable), "/w", 120);
  EXPECT_THAT(script, HasSubstr("#SBATCH --array=0-1%1\n"));
  EXPECT_THAT(script, HasSubstr("  1) case_settings=(--set seed=2 --set 'output=r 2') ;;\n"));
  EXPECT_THAT(script, HasSubstr(" \"${case_settings[@]}\"\n"));
}

TEST_F(ClusterTest, MpirunGivesEachRankItsCores) {
  const ClusterJob job = Train({"cluster.hostfile=hosts", "cluster.site.cores_per_node=16",
                                "cluster.site.environment={NCCL_DEBUG: WARN}",
                                "cluster.site.prefix=[apptainer, exec, x.sif]"});
  const std::vector<std::string> words =
      MpirunCommand(job, JobVariables(job, "/p", 0, NoVariable), "/p");
  const std::vector<std::string> head(words.begin(), words.begin() + 16);
  EXPECT_THAT(head, ElementsAre("mpirun", "-n", "4", "--hostfile", "hosts", "--map-by",
                                "ppr:2:node:pe=8", "--bind-to", "core", "-x", "NCCL_DEBUG",
                                "apptainer", "exec", "x.sif", "/p", "train"));
  const ClusterJob own = Train({"cluster.site.mpirun_options=--bind-to  none"});
  const std::vector<std::string> others = MpirunCommand(own, {}, "/p");
  EXPECT_THAT(std::vector<std::string>(others.begin() + 3, others.begin() + 6),
              ElementsAre("--bind-to", "none", "/p"));
}

TEST_F(ClusterTest, ARankGetsTheCoresOfItsThreads) {
  const auto cores = [&](const std::vector<std::string>& set) {
    const ClusterJob job = Train(set);
    const std::vector<JobVariable> variables = JobVariables(job, "/p", 120, NoVariable);
    const std::string number = std::to_string(job.CpusPerRank());
    EXPECT_THAT(SlurmScript(job, variables, "/w", 120),
                HasSubstr("#SBATCH --cpus-per-task=" + number + "\n"));
    const std::string pe = job.cluster.site.cores_per_node > 0 || job.threads == 0 ? number
                           : job.cluster.cpus_per_rank > 0                         ? "6"
                                                                                   : "1";
    EXPECT_THAT(MpirunCommand(job, variables, "/p"), Contains("ppr:2:node:pe=" + pe));
    return job.CpusPerRank();
  };
  EXPECT_EQ(cores({"threads=8"}), 8);
  EXPECT_EQ(cores({"threads=4", "cluster.site.cores_per_node=32"}), 4);
  EXPECT_EQ(cores({"threads=4", "cluster.cpus_per_rank=6"}), 6);
  EXPECT_EQ(cores({"threads=8", "cluster.cpus_per_rank=6"}), 8);
  EXPECT_EQ(cores({"cluster.cpus_per_rank=6", "cluster.site.cores_per_node=32"}), 6);
  EXPECT_EQ(cores({"cluster.site.cores_per_node=32"}), 16);
  EXPECT_EQ(cores({}), 1);
  const std::string configs = std::string(BREAKEVEN_SOURCE_DIR) + "/configs/";
  for (const char* name : {"quickstart_eval.yaml", "study_catalogue.yaml"}) {
    EXPECT_EQ(ReadClusterJob(configs + name, {"threads=5"}).CpusPerRank(), 5) << name;
  }
}

TEST_F(ClusterTest, StepsInAllComeFromTheConfig) {
  EXPECT_EQ(TotalSteps(Train()), 100);
  EXPECT_EQ(TotalSteps(Train({"max_steps=0"})), 0) << "an empty file tells nothing";
}

// 30 x 1.1 is 33 where it is rounded once, and 34 where the whole epoch is counted apart.
TEST_F(ClusterTest, StepsOfEpochsAreThoseThatTheTrainingWillDo) {
  TokenDatasetInfo info = MakeInfo(/*vocab_size=*/97);
  WriteTokenDataset(folder_ / "train.h5", info, MakeExamples(235, /*max_length=*/8, 97));
  EXPECT_EQ(TotalSteps(Train({"max_steps=0", "epochs=1"})), 30);
  EXPECT_EQ(TotalSteps(Train({"max_steps=0", "epochs=1.1"})),
            CountTotalSteps(0, 1.1, [](int64_t) { return 30; }));
  EXPECT_EQ(TotalSteps(Train({"epochs=1.1"})), 100);
}

TEST_F(ClusterTest, ASectionInAConfigIsRefusedWhenItIsWrong) {
  EXPECT_EQ(Train({}, "cluster: {time_minutes: 7}\n").cluster.time_minutes, 7);
  EXPECT_THAT(ErrorOf([&] { Train({}, "cluster: {node: 7}\n"); }),
              HasSubstr("Did you mean 'nodes'?"));
}

}  // namespace
}  // namespace breakeven
