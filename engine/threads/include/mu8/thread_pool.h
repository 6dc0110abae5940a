// Threads for SessionOptions::parallel_for, on hosts that have them. The device library knows none:
//   mu8::ThreadPool pool(4);
//   options.workers = pool.size();
//   options.parallel_for = mu8::ThreadPool::For;
//   options.parallel_context = &pool;
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "mu8/options.h"

namespace mu8 {

// `threads` - 1 threads beside the caller's, which takes part. One For runs at a time; the pool
// must outlive the sessions that use it.
class ThreadPool {
 public:
  // 0: as many as the machine has cores. Throws std::system_error where threads cannot be made.
  explicit ThreadPool(std::uint32_t threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  std::uint32_t size() const { return static_cast<std::uint32_t>(threads_.size()) + 1; }

  // A ParallelFor: task(job, i) for every i < count, each on whichever thread is free.
  static void For(void* pool, std::uint32_t count, Task task, void* job);

 private:
  void Serve();
  void TakeTasks();
  void End();

  // What the current For is about; written before `round_` changes, read after.
  Task task_ = nullptr;
  void* job_ = nullptr;
  std::uint32_t count_ = 0;
  bool ending_ = false;

  std::atomic<std::uint32_t> round_{0};  // changes with every For
  std::atomic<std::uint32_t> next_{0};   // the next task
  std::atomic<std::uint32_t> busy_{0};   // threads that have not finished the round
  std::vector<std::thread> threads_;
};

}  // namespace mu8
