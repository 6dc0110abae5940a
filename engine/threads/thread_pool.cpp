#include "mu8/thread_pool.h"

namespace mu8 {
namespace {

// Rounds follow each other within microseconds, far less than a sleeping thread takes to wake.
constexpr int kTriesBeforeSleep = 200;

// Returns the first value that is not `old`.
std::uint32_t WaitForChange(const std::atomic<std::uint32_t>& value, std::uint32_t old) {
  for (int i = 0; i < kTriesBeforeSleep; ++i) {
    const std::uint32_t now = value.load(std::memory_order_acquire);
    if (now != old) return now;
    std::this_thread::yield();
  }
  value.wait(old, std::memory_order_acquire);
  return value.load(std::memory_order_acquire);
}

}  // namespace

ThreadPool::ThreadPool(std::uint32_t threads) {
  if (threads == 0) threads = std::thread::hardware_concurrency();
  try {
    for (std::uint32_t i = 1; i < threads; ++i) threads_.emplace_back([this] { Serve(); });
  } catch (...) {
    End();
    throw;
  }
}

ThreadPool::~ThreadPool() { End(); }

void ThreadPool::End() {
  ending_ = true;
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::For(void* pool, std::uint32_t count, Task task, void* job) {
  ThreadPool& self = *static_cast<ThreadPool*>(pool);
  self.task_ = task;
  self.job_ = job;
  self.count_ = count;
  self.next_.store(0, std::memory_order_relaxed);
  self.busy_.store(static_cast<std::uint32_t>(self.threads_.size()), std::memory_order_relaxed);
  self.round_.fetch_add(1, std::memory_order_release);
  self.round_.notify_all();
  self.TakeTasks();
  std::uint32_t busy = self.busy_.load(std::memory_order_acquire);
  while (busy != 0) busy = WaitForChange(self.busy_, busy);
}

void ThreadPool::Serve() {
  std::uint32_t seen = 0;
  while (true) {
    // No round is missed: For waits until every thread has finished one before the next begins.
    seen = WaitForChange(round_, seen);
    if (ending_) return;
    TakeTasks();
    busy_.fetch_sub(1, std::memory_order_release);
    busy_.notify_one();
  }
}

void ThreadPool::TakeTasks() {
  for (std::uint32_t i = next_.fetch_add(1, std::memory_order_relaxed); i < count_;
       i = next_.fetch_add(1, std::memory_order_relaxed)) {
    task_(job_, i);
  }
}

}  // namespace mu8
