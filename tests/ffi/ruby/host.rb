# A host in Ruby: named tasks on threads and in processes, worker processes that run worker.rb, and
# blocks on a loop. CFUT_TASKS is the shared object made of tasks.c.
#
#     CFUT_TASKS=./tasks.so CFUT_LIBRARY=../../../target/release/libcfutures.so ruby host.rb

require "rbconfig"
require "timeout"
require_relative "cfutures"

TASKS = ENV.fetch("CFUT_TASKS")

# Shows a line, and ends the program if it is not the one that was expected.
def show(what, got, wanted)
  puts "#{what}: #{got}"
  abort "#{what}: wanted #{wanted.inspect}" unless got == wanted
end

# What a task without a result ended with.
def failure(future)
  future.value
  nil
rescue StandardError => e
  e
end

# The tasks of tasks.c take an int64_t.
def square(pool, number)
  pool.call("#{TASKS}:square", [number].pack("q"))
end

def number(future)
  future.value.unpack1("q")
end

def on_threads
  pool = Cfutures::Pool.of_threads(workers: 4)
  show "square of 12", number(square(pool, 12)), 144
  show "a failure", failure(pool.call("#{TASKS}:fail", "no such café")).message,
       "CFUT_FAILED 42: no such café"
  show "an unknown task", begin
    pool.call("nobody")
  rescue Cfutures::Error => e
    e.message[/\A\w+/]
  end, "CFUT_ENOENT"

  lingering = pool.call("#{TASKS}:linger")
  show "after the time-out of a wait it goes on", [lingering.value(0.02), lingering.done?], [nil, false]
  interrupted = begin
    Timeout.timeout(0.02) { lingering.value }
  rescue Timeout::Error => e
    e.class
  end
  show "a wait can be interrupted", interrupted, Timeout::Error
  lingering.cancel
  show "cancelled", failure(lingering).class, Cfutures::Cancelled
  show "time-out of a task", failure(pool.call("#{TASKS}:linger", limit: 0.02)).status, Cfutures::EXPIRED

  futures = (1..5).map { |n| square(pool, n) }
  show "as completed, a sum", Cfutures.as_completed(futures).sum { |future| number(future) }, 55
ensure
  pool&.close
end

def on_a_loop
  pool = Cfutures::Pool.of_threads(workers: 2)
  main = Cfutures::Loop.new
  # The end of a task of the pool goes on in the thread of the loop.
  seen = []
  square(pool, 3).on_done { |done| main.submit { seen << number(done) << Thread.current } }
  main.run while seen.empty?
  show "a block in this thread", seen, [9, Thread.current]

  raised = main.submit { raise KeyError, "no such key" }
  unwanted = main.submit { abort "it was cancelled" }
  unwanted.cancel
  main.run until raised.done?
  show "its own exception", failure(raised).class, KeyError
  show "cancelled before it began", failure(unwanted).class, Cfutures::Cancelled
  queued = main.submit { nil }
  main.close
  show "queued when the loop was closed", failure(queued).status, Cfutures::BROKEN
ensure
  pool&.close
end

def in_processes
  pool = Cfutures::Pool.of_processes(workers: 2)
  show "in a process", number(square(pool, 12)), 144
  crashed = failure(pool.call("#{TASKS}:crash"))
  show "a crash", crashed.status, Cfutures::CRASHED
  show "by", crashed.message[/SIG\w+/], "SIGSEGV"
  show "the pool goes on", number(square(pool, 13)), 169
ensure
  pool&.close
end

def in_ruby_processes
  command = [RbConfig.ruby, File.join(__dir__, "worker.rb")]
  pool = Cfutures::Pool.of_processes(workers: 2, command: command)
  show "reversed in Ruby", pool.call("reverse", "café").value.force_encoding("UTF-8"), "éfac"
  show "an exception in Ruby", failure(pool.call("refuse", "café")).message,
       "CFUT_FAILED 1: ArgumentError: café is not wanted"
  show "a worker that leaves", failure(pool.call("leave")).status, Cfutures::CRASHED
  show "another one", pool.call("reverse", "cba").value, "abc"
ensure
  pool&.close
end

# Nothing stays behind.
def many_tasks
  pools = [Cfutures::Pool.of_threads(workers: 4), Cfutures::Pool.of_processes(workers: 2)]
  main = Cfutures::Loop.new
  differences = before = 0
  10.times do |round|
    named = pools.map { |pool| (0...1000).map { |n| square(pool, n) } }
    blocks = (0...1000).map { |n| main.submit { n * n } }
    main.run until blocks.all?(&:done?)
    differences += named.flatten.sum { |future| number(future) } - 2 * blocks.sum(&:value)
    before = resident_kib if round == 4
  end
  show "10000 tasks on each, differences", differences, 0
  show "outstanding", [*pools.map(&:outstanding), Cfutures::BLOCKS.size], [0, 0, 0]
  show "grown by less than 64 MiB", resident_kib - before < 64 << 10, true
ensure
  main&.close
  pools&.each(&:close)
end

def resident_kib
  File.read("/proc/self/status")[/VmRSS:\s+(\d+)/, 1].to_i
end

on_threads
on_a_loop
in_processes
in_ruby_processes
many_tasks
puts "ok"
