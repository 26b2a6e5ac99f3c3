# libcfutures for Ruby, by Fiddle alone.
#
# No function of Ruby's is called by a thread that is not Ruby's, for the interpreter would not survive
# that: thread and process pools run named tasks, and blocks run on a Loop, in the thread that calls run.
# Waits are for descriptors, so other threads of Ruby, Ctrl-C, Timeout and fiber schedulers go on.

require "fiddle/import"
require "io/wait"

module Cfutures
  OK, CANCELLED, FAILED, CRASHED, EXPIRED, BROKEN = 0, 3, 4, 5, 6, 7
  NOW = 0 # for time-outs: this module waits by descriptors
  OPT_WORKERS, OPT_NAME, OPT_WORKER_PROGRAM = 1, 64, 65
  TASK_RUN_TIMEOUT_NS = 2
  CANCEL_KILL = 2

  # What is used of cfutures.h. Other threads of Ruby run during a call.
  module Native
    extend Fiddle::Importer
    dlload ENV.fetch("CFUT_LIBRARY", "libcfutures.so.0.1")

    typealias "int32_t", "int"
    typealias "uint32_t", "unsigned int"
    typealias "int64_t", "long long"
    typealias "uint64_t", "unsigned long long"

    extern "const char *cfut_status_name(int32_t)"
    extern "size_t cfut_last_error(void *, size_t)"
    extern "void *cfut_options_new(void)"
    extern "int32_t cfut_options_set(void *, int32_t, int64_t)"
    extern "int32_t cfut_options_set_text(void *, int32_t, const char *)"
    extern "int32_t cfut_options_add_worker_arg(void *, const char *)"
    extern "void cfut_options_free(void *)"
    extern "int32_t cfut_thread_pool_new(void *, void *)"
    extern "int32_t cfut_process_pool_new(void *, void *)"
    extern "int32_t cfut_loop_new(void *, void *)"
    extern "int32_t cfut_loop_run(void *, size_t, int64_t, void *)"
    extern "int32_t cfut_loop_fd(void *, void *)"
    extern "int32_t cfut_executor_shutdown(void *, uint32_t, int64_t)"
    extern "void cfut_executor_release(void *)"
    extern "int32_t cfut_task_new_named(const char *, void *)"
    extern "int32_t cfut_task_set(void *, int32_t, int64_t)"
    extern "void cfut_task_free(void *)"
    extern "int32_t cfut_submit_task(void *, void *, void *, size_t, void *)"
    extern "int32_t cfut_submit_closure(void *, void *, uintptr_t, void *, void *)"
    extern "int32_t cfut_future_wait(void *, int64_t)"
    extern "void *cfut_future_bytes(void *, void *)"
    extern "int32_t cfut_future_code(void *)"
    extern "const char *cfut_future_message(void *)"
    extern "int32_t cfut_future_cancel(void *, uint32_t)"
    extern "void cfut_future_release(void *)"
    extern "int32_t cfut_queue_new(void *)"
    extern "int32_t cfut_queue_add(void *, void *, uint64_t)"
    extern "int32_t cfut_queue_next(void *, int64_t, void *, void *)"
    extern "int32_t cfut_queue_fd(void *, void *)"
    extern "void cfut_queue_release(void *)"
    extern "int32_t cfut_promise_new(void *, void *)"
    extern "int32_t cfut_promise_set_bytes(void *, void *, size_t)"
    extern "int32_t cfut_promise_fail(void *, int32_t, const char *)"
    extern "void cfut_promise_release(void *)"
    extern "int32_t cfut_register(const char *, void *)"
    extern "int32_t cfut_worker_run(void)"
  end

  # A call that was refused, or a task without a result.
  class Error < StandardError
    attr_reader :status, :code

    def initialize(status, code, message)
      name = Native.cfut_status_name(status)
      super("#{name}#{" #{code}" if status == FAILED}: #{message}")
      @status = status
      @code = code
    end
  end

  class Cancelled < Error; end

  # Raises the library's own words for a negative status, and for the refusal of a broken pool.
  def self.check(status)
    return status if status >= 0 && status != BROKEN

    text = Fiddle::Pointer.malloc(512, Fiddle::RUBY_FREE)
    Native.cfut_last_error(text, text.size)
    raise Error.new(status, 0, text.to_s.force_encoding("UTF-8"))
  end

  # Room for something that a call writes: a pointer, a number.
  def self.room
    Fiddle::Pointer.malloc(8, Fiddle::RUBY_FREE)
  end

  # The handle that a constructor puts into its last parameter.
  def self.made(constructor, *arguments)
    handle = room
    check(Native.public_send(constructor, *arguments, handle))
    handle.ptr
  end

  # An IO of one of the library's descriptors: to be waited for, not to be read or closed.
  def self.io_of(function, handle)
    fd = room
    check(Native.public_send(function, handle, fd))
    IO.for_fd(fd[0, Fiddle::SIZEOF_INT].unpack1("i"), autoclose: false)
  end

  # Objects whose numbers the library has in place of pointers.
  class Table
    def initialize
      @objects = {}
      @next = 0
      @lock = Mutex.new
    end

    def add(object)
      @lock.synchronize { @objects[@next += 1] = object }
      @next
    end

    def [](number)
      @objects.fetch(number)
    end

    def take(number)
      @lock.synchronize { @objects.delete(number) }
    end

    def size
      @objects.size
    end
  end

  # The outcome of a task, to come. Waits can be interrupted, by Timeout and Ctrl-C for example.
  class Future
    def initialize
      @lock = Mutex.new
      @ended = ConditionVariable.new
      @callbacks = []
      @done = false
    end

    attr_writer :handle # what cancel needs, until the end

    def done?
      @done
    end

    # The result; raises what the task failed with. nil if it has not ended after so many seconds.
    def value(timeout = nil)
      return nil unless wait(timeout)
      raise @failure if @failure

      @value
    end

    def wait(timeout = nil)
      limit = timeout && now + timeout
      @lock.synchronize do
        until @done
          left = limit && limit - now
          return false if left && left <= 0

          @ended.wait(@lock, left)
        end
      end
      true
    end

    # Keeps the task from starting, asks one that runs to stop, and kills a worker process whose
    # task does not heed that.
    def cancel
      @lock.synchronize { Native.cfut_future_cancel(@handle, CANCEL_KILL) if @handle }
    end

    # Calls the block in whichever thread of Ruby sees the end; at once if that has been.
    def on_done(&block)
      ended = @lock.synchronize do
        @callbacks << block unless @done
        @done
      end
      call(block) if ended
    end

    # Takes the outcome over, and gives the library its handle back.
    def settle
      status = Native.cfut_future_wait(@handle, NOW)
      value, failure = status == OK ? [result, nil] : [nil, error(status)]
      @lock.synchronize do
        Native.cfut_future_release(@handle)
        @handle = nil
      end
      finish(value, failure)
    end

    # The first outcome counts.
    def finish(value, failure)
      callbacks = @lock.synchronize do
        next [] if @done

        @value, @failure, @done = value, failure, true
        @ended.broadcast
        @callbacks
      end
      callbacks.each { |block| call(block) }
    end

    private

    # What it raises is not for the thread that happens to see the end.
    def call(block)
      block.call(self)
    rescue StandardError => e
      warn e.full_message
    end

    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end

    def result
      length = Cfutures.room
      data = Native.cfut_future_bytes(@handle, length)
      data.null? ? "".b : data[0, length[0, 8].unpack1("J")]
    end

    def error(status)
      kind = status == CANCELLED ? Cancelled : Error
      message = Native.cfut_future_message(@handle).to_s.force_encoding("UTF-8")
      kind.new(status, Native.cfut_future_code(@handle), message)
    end
  end

  # The futures in the order they end.
  def self.as_completed(futures)
    return enum_for(:as_completed, futures) unless block_given?

    ended = Thread::Queue.new
    futures.each { |future| future.on_done { |done| ended << done } }
    futures.size.times { yield ended.pop }
  end

  # A pool for named tasks, "module.so:symbol" or what a worker program has registered. A thread of
  # Ruby waits for the descriptor of a completion queue, and tells the futures of their ends.
  class Pool
    # Threads of this process.
    def self.of_threads(workers: nil)
      new(:cfut_thread_pool_new, workers, [])
    end

    # Worker processes: a crash costs the task that crashed. With a command they run that, a program
    # that calls Cfutures.work; else tasks of shared objects.
    def self.of_processes(workers: nil, command: [])
      new(:cfut_process_pool_new, workers, command)
    end

    def initialize(constructor, workers, command)
      options = build(workers, command)
      @outstanding = Table.new
      @executor = Cfutures.made(constructor, options)
      @queue = Cfutures.made(:cfut_queue_new)
      @keeper = keep
      io = Cfutures.io_of(:cfut_queue_fd, @queue)
      @dispatcher = Thread.new { dispatch(io) }
      @dispatcher.abort_on_exception = true # nobody would be told of any end
    ensure
      Native.cfut_options_free(options)
    end

    # The future of a task; one that runs for longer than the limit, in seconds, has expired.
    def call(name, data = "", limit: nil)
      task = Cfutures.made(:cfut_task_new_named, name)
      if limit
        Cfutures.check(Native.cfut_task_set(task, TASK_RUN_TIMEOUT_NS, (limit * 1_000_000_000).to_i))
      end
      future = Future.new
      future.handle = handle = Cfutures.made(:cfut_submit_task, @executor, task, data, data.bytesize)
      Cfutures.check(Native.cfut_queue_add(@queue, handle, @outstanding.add(future)))
      future
    ensure
      Native.cfut_task_free(task)
    end

    # Takes no more work, and waits until what was accepted has ended.
    def close
      slice = 50_000_000 # so that Ctrl-C is seen
      nil until Cfutures.check(Native.cfut_executor_shutdown(@executor, 0, slice)) == OK
      # Comes out of the queue behind all the others, and ends the dispatcher.
      Native.cfut_promise_set_bytes(@keeper, nil, 0)
      @dispatcher.join
      Native.cfut_executor_release(@executor)
      Native.cfut_promise_release(@keeper)
      Native.cfut_queue_release(@queue)
    end

    def outstanding
      @outstanding.size
    end

    private

    def build(workers, command)
      options = Native.cfut_options_new
      Cfutures.check(Native.cfut_options_set_text(options, OPT_NAME, "ruby"))
      Cfutures.check(Native.cfut_options_set(options, OPT_WORKERS, workers)) if workers
      program, *arguments = command
      Cfutures.check(Native.cfut_options_set_text(options, OPT_WORKER_PROGRAM, program)) if program
      arguments.each { |word| Cfutures.check(Native.cfut_options_add_worker_arg(options, word)) }
      options
    end

    # A promise whose future, with tag 0, is in the queue until close.
    def keep
      promise, never = Cfutures.room, Cfutures.room
      Cfutures.check(Native.cfut_promise_new(promise, never))
      Cfutures.check(Native.cfut_queue_add(@queue, never.ptr, 0))
      Native.cfut_future_release(never.ptr)
      promise.ptr
    end

    def dispatch(io)
      handle, tag = Cfutures.room, Cfutures.room
      loop do
        io.wait_readable
        while Native.cfut_queue_next(@queue, NOW, handle, tag) == OK
          number = tag[0, 8].unpack1("J")
          @outstanding.take(number).settle unless number.zero?
          Native.cfut_future_release(handle.ptr)
          return if number.zero?
        end
      end
    end
  end

  # Runs blocks in the thread that calls run, whichever thread has submitted them.
  class Loop
    def initialize
      @executor = Cfutures.made(:cfut_loop_new, nil)
      @io = Cfutures.io_of(:cfut_loop_fd, @executor)
    end

    attr_reader :io # readable while there is something to run: for the loops of others

    def submit(&block)
      future = BlockFuture.new(block)
      number = BLOCKS.add(future) # moved, also when the call fails
      Cfutures.check(Native.cfut_submit_closure(@executor, RUN, number, DROP, nil))
      future
    end

    # Runs what is queued; waits up to so many seconds for something.
    def run(timeout = nil)
      ran = Cfutures.room
      Native.cfut_loop_run(@executor, 0, NOW, ran) if @io.wait_readable(timeout)
    end

    # What is still queued is broken.
    def close
      Native.cfut_executor_shutdown(@executor, 0, NOW)
      Native.cfut_executor_release(@executor)
    end
  end

  # The outcome of a block, which is Ruby's own affair: the library has only its number.
  class BlockFuture < Future
    def initialize(block)
      super()
      @block = block
    end

    # In the thread that runs the loop. Nothing may be thrown across the frames of C below.
    def run
      return if done? # cancelled

      begin
        finish(@block.call, nil)
      rescue Exception => e # rubocop:disable Lint/RescueException
        finish(nil, e)
      end
    end

    # Keeps the block from starting.
    def cancel
      finish(nil, Cancelled.new(CANCELLED, 0, ""))
    end
  end

  # Kept for good: the library holds only their addresses.
  BLOCKS = Table.new
  POINTER = Fiddle::TYPE_VOIDP
  RUN = Fiddle::Closure::BlockCaller.new(Fiddle::TYPE_INT, [POINTER, POINTER]) do |_promise, number|
    BLOCKS[number.to_i].run
    0
  end
  DROP = Fiddle::Closure::BlockCaller.new(Fiddle::TYPE_VOID, [POINTER]) do |number|
    BLOCKS.take(number.to_i).finish(nil, Error.new(BROKEN, 0, "the loop was closed"))
  end

  # ---- workers ----

  TASKS = [] # as above

  # Gives a block from text to text a name that pools call it by.
  def self.task(name)
    types = [POINTER, POINTER, Fiddle::TYPE_SIZE_T]
    function = Fiddle::Closure::BlockCaller.new(Fiddle::TYPE_INT, types) do |promise, data, length|
      result = yield(length.zero? ? "" : data[0, length])
      Native.cfut_promise_set_bytes(promise, result, result.bytesize)
    rescue Exception => e # rubocop:disable Lint/RescueException
      Native.cfut_promise_fail(promise, 1, "#{e.class}: #{e.message}")
      1
    end
    TASKS << function
    check(Native.cfut_register(name, function))
  end

  # Runs the tasks of the pool that has started this process, in this thread.
  def self.work
    check(Native.cfut_worker_run)
  end
end
