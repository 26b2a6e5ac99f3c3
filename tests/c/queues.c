/* The completion queue: order, tags, and the descriptor for event loops. */
#include "parts.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>

static cfut_queue *new_queue(void)
{
    cfut_queue *queue = NULL;
    CHECK_OK(cfut_queue_new(&queue));
    CHECK(queue != NULL);
    return queue;
}

static int descriptor(cfut_queue *queue)
{
    int fd = -1;
    CHECK_OK(cfut_queue_fd(queue, &fd));
    CHECK(fd >= 0);
    return fd;
}

/* Whether the descriptor is readable now. */
static bool readable(int fd)
{
    struct pollfd poller = { fd, POLLIN, 0 };
    int ready = poll(&poller, 1, 0);
    CHECK(ready >= 0);
    CHECK(ready == 0 || poller.revents == POLLIN);
    return ready == 1;
}

static uint64_t next_tag(cfut_queue *queue)
{
    cfut_future *future;
    uint64_t tag;
    CHECK_OK(cfut_queue_next(queue, CFUT_FOREVER, &future, &tag));
    CHECK(cfut_future_wait(future, CFUT_NOW) != CFUT_TIMEOUT);
    cfut_future_release(future);
    return tag;
}

static void empty_queue_answers_end(void)
{
    cfut_queue *queue = new_queue();
    cfut_future *future = NULL;
    uint64_t tag = 9;
    CHECK_STATUS(cfut_queue_next(queue, CFUT_FOREVER, &future, &tag), CFUT_END);
    CHECK_STATUS(cfut_queue_next(queue, CFUT_NOW, &future, &tag), CFUT_END);
    CHECK(future == NULL && tag == 9);
    cfut_queue_release(queue);
}

static void outstanding_is_a_time_out(void)
{
    cfut_queue *queue = new_queue();
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise), *out = NULL;
    CHECK_OK(cfut_queue_add(queue, future, 1));
    CHECK_STATUS(cfut_queue_next(queue, CFUT_NOW, &out, NULL), CFUT_TIMEOUT);
    CHECK_STATUS(cfut_queue_next(queue, CFUT_MSEC(1), &out, NULL), CFUT_TIMEOUT);
    CHECK(out == NULL);
    CHECK_OK(cfut_promise_set_bytes(promise, "x", 1));
    CHECK_EQ(next_tag(queue), 1);
    CHECK_STATUS(cfut_queue_next(queue, CFUT_FOREVER, &out, NULL), CFUT_END);
    cfut_promise_release(promise);
    cfut_future_release(future);
    cfut_queue_release(queue);
}

static void order_is_that_of_settling(void)
{
    static const int order[5] = { 3, 0, 4, 1, 2 };
    cfut_queue *queue = new_queue();
    cfut_promise *promises[5];
    cfut_future *futures[5];
    for (int i = 0; i < 5; i++) {
        futures[i] = by_hand(&promises[i]);
        CHECK_OK(cfut_queue_add(queue, futures[i], UINT64_MAX - (uint64_t)i));
    }
    for (int i = 0; i < 5; i++)
        CHECK_OK(cfut_promise_set_bytes(promises[order[i]], "x", 1));
    for (int i = 0; i < 5; i++)
        CHECK(next_tag(queue) == UINT64_MAX - (uint64_t)order[i]);
    for (int i = 0; i < 5; i++) {
        cfut_promise_release(promises[i]);
        cfut_future_release(futures[i]);
    }
    cfut_queue_release(queue);
}

/* What was seen settled is in the queue, in front of what is settled afterwards. */
static void seen_settled_comes_out_first(void)
{
    cfut_executor *pool = check_pool(1);
    for (int i = 0; i < 2000; i++) {
        cfut_queue *queue = new_queue();
        cfut_promise *promise;
        cfut_future *second = by_hand(&promise), *out;
        gate gate = GATE_CLOSED;
        cfut_future *first = gate_submit(pool, &gate);
        uint64_t tag;
        CHECK_OK(cfut_queue_add(queue, first, 1));
        CHECK_OK(cfut_queue_add(queue, second, 2));
        latch_open(&gate.open);
        while (cfut_future_state(first) != CFUT_STATE_FINISHED)
            ;
        if (i % 2 == 0)
            CHECK_OK(cfut_promise_set_bytes(promise, "x", 1));
        CHECK_OK(cfut_queue_next(queue, CFUT_NOW, &out, &tag));
        CHECK_EQ(tag, 1);
        cfut_future_release(out);
        if (i % 2 == 0)
            CHECK_EQ(next_tag(queue), 2);
        cfut_promise_release(promise);
        cfut_future_release(first);
        cfut_future_release(second);
        cfut_queue_release(queue);
    }
    check_close(pool);
}

static void every_end_comes_out(void)
{
    static const cfut_status ends[] = { CFUT_OK, CFUT_FAILED, CFUT_CANCELLED, CFUT_BROKEN };
    cfut_queue *queue = new_queue();
    for (uint64_t i = 0; i < 4; i++) {
        cfut_future *future = ended(ends[i]);
        CHECK_OK(cfut_queue_add(queue, future, i)); /* settled: at once */
        cfut_future_release(future);
    }
    for (uint64_t i = 0; i < 4; i++) {
        cfut_future *future;
        uint64_t tag;
        CHECK_OK(cfut_queue_next(queue, CFUT_NOW, &future, &tag));
        CHECK_EQ(tag, i);
        CHECK_STATUS(end_of(future), ends[i]);
    }
    cfut_queue_release(queue);
}

static void cancelled_comes_out_at_once(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_queue *queue = new_queue();
    gate gate = GATE_CLOSED;
    gate_hold(pool, &gate);
    cfut_future *future = submit_nothing(pool);
    CHECK_OK(cfut_queue_add(queue, future, 3));
    CHECK_OK(cfut_future_cancel(future, CFUT_CANCEL_PENDING));
    CHECK_EQ(next_tag(queue), 3); /* the worker is still busy */
    latch_open(&gate.open);
    cfut_future_release(future);
    cfut_queue_release(queue);
    check_close(pool);
}

static void added_twice_comes_out_twice(void)
{
    cfut_queue *queue = new_queue(), *other = new_queue();
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise);
    CHECK_OK(cfut_queue_add(queue, future, 1));
    CHECK_OK(cfut_queue_add(queue, future, 2));
    CHECK_OK(cfut_queue_add(other, future, 3)); /* and to several queues */
    CHECK_OK(cfut_promise_set_bytes(promise, "x", 1));
    CHECK_EQ(next_tag(queue), 1);
    CHECK_EQ(next_tag(queue), 2);
    CHECK_EQ(next_tag(other), 3);
    CHECK_STATUS(cfut_queue_next(queue, CFUT_NOW, NULL, NULL), CFUT_END);
    cfut_promise_release(promise);
    cfut_future_release(future);
    cfut_queue_release(queue);
    cfut_queue_release(other);
}

static void outputs_may_be_null(void)
{
    cfut_queue *queue = new_queue();
    cfut_future *future = ended(CFUT_OK);
    CHECK_OK(cfut_queue_add(queue, future, 1));
    CHECK_OK(cfut_queue_next(queue, CFUT_FOREVER, NULL, NULL));
    CHECK_OK(cfut_queue_add(queue, future, 1));
    CHECK_OK(cfut_queue_next(queue, CFUT_FOREVER, NULL, &(uint64_t){ 0 }));
    CHECK_OK(end_of(future));
    cfut_queue_release(queue);
}

static void queue_keeps_its_futures(void)
{
    cfut_queue *queue = new_queue();
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise), *out;
    atomic_int freed = 0;
    CHECK_OK(cfut_queue_add(queue, future, 0));
    cfut_future_release(future);
    CHECK_OK(cfut_promise_set_value(promise, &freed, count_free));
    cfut_promise_release(promise);
    CHECK_EQ(freed, 0);
    CHECK_OK(cfut_queue_next(queue, CFUT_FOREVER, &out, NULL));
    CHECK(cfut_future_value(out) == &freed);
    cfut_queue_release(queue);
    CHECK_EQ(freed, 0); /* the future that came out is owned */
    cfut_future_release(out);
    CHECK_EQ(freed, 1);
}

static void release_lets_go_of_entries(void)
{
    cfut_queue *queue = new_queue();
    cfut_promise *now, *later;
    cfut_future *waits = by_hand(&now), *comes = by_hand(&later);
    atomic_int freed = 0;
    CHECK_OK(cfut_queue_add(queue, waits, 0));
    CHECK_OK(cfut_queue_add(queue, comes, 1));
    cfut_future_release(waits);
    cfut_future_release(comes);
    CHECK_OK(cfut_promise_set_value(now, &freed, count_free));
    cfut_promise_release(now);
    CHECK(cfut_queue_retain(queue) == queue);
    cfut_queue_release(queue);
    CHECK_EQ(freed, 0); /* there is another handle */
    cfut_queue_release(queue);
    CHECK_EQ(freed, 1);
    CHECK_OK(cfut_promise_set_value(later, &freed, count_free)); /* the queue is gone */
    cfut_promise_release(later);
    CHECK_EQ(freed, 2);
}

struct reader {
    cfut_queue *queue;
    latch started;
    atomic_int *got;
};

static void *read_to_the_end(void *arg)
{
    struct reader *reader = arg;
    uint64_t tag;
    latch_open(&reader->started);
    while (cfut_queue_next(reader->queue, CFUT_FOREVER, NULL, &tag) == CFUT_OK)
        atomic_fetch_add(&reader->got[tag], 1);
    return NULL;
}

/* Each entry goes to exactly one reader, and the end to all. */
static void several_readers(void)
{
    enum { MANY = 2000 };
    static atomic_int got[MANY];
    cfut_executor *pool = check_pool(3);
    struct reader reader = { new_queue(), LATCH_CLOSED, got };
    pthread_t threads[3];
    gate gate = GATE_CLOSED;
    cfut_future *last = gate_submit(pool, &gate);
    CHECK_OK(cfut_queue_add(reader.queue, last, 0));
    for (int i = 0; i < 3; i++)
        threads[i] = thread_start(read_to_the_end, &reader);
    latch_wait_for(&reader.started, 3);
    for (uint64_t i = 1; i < MANY; i++) {
        cfut_future *future = submit_nothing(pool);
        CHECK_OK(cfut_queue_add(reader.queue, future, i));
        cfut_future_release(future);
    }
    latch_open(&gate.open);
    for (int i = 0; i < 3; i++)
        thread_join(threads[i]);
    for (int i = 0; i < MANY; i++)
        CHECK_EQ(got[i], 1);
    cfut_future_release(last);
    cfut_queue_release(reader.queue);
    check_close(pool);
}

/* ---- the descriptor ---- */

static void descriptor_is_level_triggered(void)
{
    cfut_queue *queue = new_queue();
    cfut_promise *promises[2];
    cfut_future *futures[2];
    int fd = descriptor(queue);
    CHECK(!readable(fd));
    for (uint64_t i = 0; i < 2; i++) {
        futures[i] = by_hand(&promises[i]);
        CHECK_OK(cfut_queue_add(queue, futures[i], i));
    }
    CHECK(!readable(fd));
    for (int i = 0; i < 2; i++)
        CHECK_OK(cfut_promise_set_bytes(promises[i], "x", 1));
    CHECK(readable(fd));
    CHECK(readable(fd)); /* looking takes nothing away */
    CHECK_EQ(next_tag(queue), 0);
    CHECK(readable(fd)); /* one is left */
    CHECK_EQ(next_tag(queue), 1);
    CHECK_STATUS(cfut_queue_next(queue, CFUT_NOW, NULL, NULL), CFUT_END);
    CHECK(!readable(fd));
    for (int i = 0; i < 2; i++) {
        cfut_promise_release(promises[i]);
        cfut_future_release(futures[i]);
    }
    cfut_queue_release(queue);
}

static void descriptor_stays_the_same(void)
{
    cfut_queue *queue = new_queue();
    int fd = descriptor(queue);
    CHECK_EQ(descriptor(queue), fd);
    CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    cfut_queue_release(queue);
    CHECK_EQ(fcntl(fd, F_GETFD), -1); /* closed with the queue */
}

static void descriptor_asked_for_late(void)
{
    cfut_queue *queue = new_queue();
    cfut_future *future = ended(CFUT_OK);
    CHECK_OK(cfut_queue_add(queue, future, 0));
    int fd = descriptor(queue); /* an entry waits already */
    CHECK(readable(fd));
    CHECK_EQ(next_tag(queue), 0);
    CHECK(!readable(fd));
    CHECK_OK(cfut_queue_add(queue, future, 1));
    CHECK(readable(fd));
    CHECK_EQ(next_tag(queue), 1);
    cfut_future_release(future);
    cfut_queue_release(queue);
}

/* A runtime whose wrapper has to read may throw away what it reads, if it drains the queue. */
static void descriptor_that_somebody_reads(void)
{
    cfut_queue *queue = new_queue();
    cfut_future *future = ended(CFUT_OK);
    int fd = descriptor(queue);
    char bytes[64];
    for (int round = 0; round < 3; round++) {
        for (uint64_t i = 0; i < 10; i++)
            CHECK_OK(cfut_queue_add(queue, future, i));
        CHECK(readable(fd));
        CHECK(read(fd, bytes, sizeof bytes) > 0);
        for (uint64_t i = 0; i < 10; i++)
            CHECK_EQ(next_tag(queue), i);
        CHECK_STATUS(cfut_queue_next(queue, CFUT_NOW, NULL, NULL), CFUT_END);
        CHECK(!readable(fd));
    }
    cfut_future_release(future);
    cfut_queue_release(queue);
}

static void many_entries_do_not_fill_the_pipe(void)
{
    enum { MANY = 200000 };
    cfut_queue *queue = new_queue();
    cfut_future *future = ended(CFUT_OK);
    int fd = descriptor(queue);
    for (uint64_t i = 0; i < MANY; i++)
        CHECK_OK(cfut_queue_add(queue, future, i));
    for (uint64_t i = 0; i < MANY; i++)
        CHECK_EQ(next_tag(queue), i);
    CHECK(!readable(fd));
    cfut_future_release(future);
    cfut_queue_release(queue);
}

/* An event loop: epoll, edge- or level-triggered, on work from a pool. */
static void run_event_loop(uint32_t events)
{
    enum { MANY = 1000 };
    cfut_executor *pool = check_pool(2);
    cfut_queue *queue = new_queue();
    struct epoll_event event = { .events = events };
    int loop = epoll_create1(EPOLL_CLOEXEC), finished = 0;
    CHECK(loop >= 0);
    CHECK_EQ(epoll_ctl(loop, EPOLL_CTL_ADD, descriptor(queue), &event), 0);
    for (uint64_t i = 0; i < MANY; i++) {
        cfut_future *future = submit_nothing(pool);
        CHECK_OK(cfut_queue_add(queue, future, i));
        cfut_future_release(future);
    }
    cfut_status status = CFUT_TIMEOUT;
    while (status != CFUT_END) {
        CHECK_EQ(epoll_wait(loop, &event, 1, -1), 1);
        while ((status = cfut_queue_next(queue, CFUT_NOW, NULL, NULL)) == CFUT_OK)
            finished++;
    }
    CHECK_EQ(finished, MANY);
    close(loop);
    cfut_queue_release(queue);
    check_close(pool);
}

static void epoll_level_triggered(void)
{
    run_event_loop(EPOLLIN);
}

static void epoll_edge_triggered(void)
{
    run_event_loop(EPOLLIN | EPOLLET);
}

CHECK_MAIN(CASE(empty_queue_answers_end), CASE(outstanding_is_a_time_out),
           CASE(order_is_that_of_settling), CASE(seen_settled_comes_out_first), CASE(every_end_comes_out),
           CASE(cancelled_comes_out_at_once), CASE(added_twice_comes_out_twice),
           CASE(outputs_may_be_null), CASE(queue_keeps_its_futures),
           CASE(release_lets_go_of_entries), CASE(several_readers),
           CASE(descriptor_is_level_triggered), CASE(descriptor_stays_the_same),
           CASE(descriptor_asked_for_late), CASE(descriptor_that_somebody_reads),
           CASE(many_entries_do_not_fill_the_pipe), CASE(epoll_level_triggered),
           CASE(epoll_edge_triggered))
