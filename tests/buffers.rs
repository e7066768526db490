//! Contract section 5: buffers that wait to be sent.

use iris::{Config, ErrorKind, ForeignBytes, Payload, Runtime};
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

/// Memory whose count of owners a test can see.
struct Lent(Arc<Vec<u8>>);

impl ForeignBytes for Lent {
    fn bytes(&self) -> &[u8] {
        &self.0
    }
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

fn runtime() -> Runtime {
    Runtime::new(Config::default()).expect("the defaults are valid")
}

fn lend(memory: &Arc<Vec<u8>>) -> Box<Lent> {
    Box::new(Lent(Arc::clone(memory)))
}

fn sleeper(rt: &Runtime) -> iris::Pid {
    rt.spawn(|_: iris::Message, _: &mut iris::Context<'_>| {}).expect("there is room")
}

#[test]
fn an_id_works_once_and_the_memory_is_not_copied() {
    let rt = runtime();
    let memory = Arc::new(vec![7; 100]);
    let id = rt.keep_buffer(None, 0, lend(&memory)).expect("kept");
    assert_eq!(rt.metrics().buffers, 1);
    let taken = rt.take_buffer(id, 0).expect("it is there");
    assert_eq!(rt.take_buffer(id, 0).expect_err("it was taken").kind(), ErrorKind::NoSuchBuffer);
    let payload = Payload::foreign(taken.bytes);
    assert_eq!(payload.as_ptr(), memory.as_ptr());
    assert_eq!(rt.metrics().buffers, 0);
}

#[test]
fn only_its_home_may_send_it() {
    let rt = runtime();
    let id = rt.keep_buffer(None, 1, lend(&Arc::default())).expect("kept");
    assert_eq!(rt.take_buffer(id, 2).expect_err("not there").kind(), ErrorKind::NotLocal);
    assert!(rt.take_buffer(id, 1).is_ok());
    assert_eq!(rt.take_buffer(77, 1).expect_err("unknown").kind(), ErrorKind::NoSuchBuffer);
}

#[test]
fn a_refused_send_gives_the_id_back_unless_the_owner_has_ended() {
    let rt = runtime();
    let memory = Arc::new(vec![0; 8]);
    let owner = sleeper(&rt);
    let id = rt.keep_buffer(Some(owner), 0, lend(&memory)).expect("kept");
    let taken = rt.take_buffer(id, 0).expect("it is there");
    rt.give_back_buffer(id, taken);
    let taken = rt.take_buffer(id, 0).expect("it is there again");
    rt.kill(owner);
    rt.give_back_buffer(id, taken);
    assert_eq!(rt.take_buffer(id, 0).expect_err("freed").kind(), ErrorKind::NoSuchBuffer);
    assert_eq!(Arc::strong_count(&memory), 1);
}

#[test]
fn what_was_not_sent_ends_with_its_owner_its_home_and_the_runtime() {
    let rt = runtime();
    let memory = Arc::new(vec![0; 8]);
    let (one, other) = (sleeper(&rt), sleeper(&rt));
    rt.keep_buffer(Some(one), 1, lend(&memory)).expect("kept");
    rt.keep_buffer(Some(one), 1, lend(&memory)).expect("kept");
    let kept = rt.keep_buffer(Some(other), 2, lend(&memory)).expect("kept");
    rt.kill(one);
    assert_eq!((Arc::strong_count(&memory), rt.metrics().buffers), (2, 1));
    let refused = rt.keep_buffer(Some(one), 1, lend(&memory)).expect_err("it has ended");
    assert_eq!(refused.kind(), ErrorKind::NoSuchActor);
    rt.free_buffers_of(2);
    assert_eq!(Arc::strong_count(&memory), 1);
    assert!(!rt.free_buffer(kept));
    rt.keep_buffer(None, 0, lend(&memory)).expect("kept");
    rt.close(Duration::from_secs(5)).expect("no lane thread");
    assert_eq!(Arc::strong_count(&memory), 1);
    let closed = rt.keep_buffer(None, 0, lend(&memory)).expect_err("closed");
    assert_eq!(closed.kind(), ErrorKind::RuntimeClosed);
    assert_eq!(Arc::strong_count(&memory), 1);
}

#[test]
fn a_hundred_thousand_of_one_actor_leave_nothing_behind() {
    let rt = runtime();
    let owner = sleeper(&rt);
    let memory = Arc::new(vec![0; 8]);
    for _ in 0..100_000 {
        let id = rt.keep_buffer(Some(owner), 0, lend(&memory)).expect("kept");
        drop(rt.take_buffer(id, 0).expect("it is there"));
    }
    assert_eq!((Arc::strong_count(&memory), rt.metrics().buffers), (1, 0));
    rt.kill(owner);
}
