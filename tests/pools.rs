//! Members of pools: what one that fails leaves goes to its replacement.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use iris::message::ExitInfo;
use iris::{Context, Message, Pid, Runtime};
use std::sync::{Arc, Mutex, mpsc};
use support::{Fallible, PATIENCE, quiet, runtime, thrown, until};

type Log = Arc<Mutex<Vec<String>>>;

/// Keeps what it gets; `boom` makes it crash, `wait` makes it wait for `gate`.
fn spawn(rt: &Runtime, log: &Log, gate: &Arc<Mutex<()>>) -> Pid {
    let (log, gate) = (Arc::clone(log), Arc::clone(gate));
    let actor = Fallible(move |m: Message, ctx: &mut Context<'_>| {
        let text = String::from_utf8_lossy(&m.payload).into_owned();
        match text.as_str() {
            "boom" => return Err(thrown("boom")),
            "wait" => drop(gate.lock().unwrap()),
            _ => {}
        }
        if ctx.is_call() {
            ctx.reply(text.as_bytes()).expect("the call is open");
        }
        log.lock().unwrap().push(text);
        Ok(())
    });
    rt.spawn(actor).unwrap()
}

fn ended(rt: &Runtime, pid: Pid) -> mpsc::Receiver<ExitInfo> {
    let (tx, rx) = mpsc::channel();
    rt.join_member(pid, move |info| tx.send(info).unwrap());
    rx
}

#[test]
fn the_replacement_gets_queue_calls_and_names_before_anything_else() {
    let rt = runtime(2);
    let (log, gate) = (Log::default(), Arc::new(Mutex::new(())));
    let old = spawn(&rt, &log, &gate);
    rt.register("member", old).unwrap();
    let end = ended(&rt, old);
    let closed = gate.lock().unwrap();
    for text in ["wait", "boom", "1", "2"] {
        assert!(rt.send(old, text.as_bytes()));
    }
    let (tx, answer) = mpsc::channel();
    let sink = move |outcome| tx.send(outcome).unwrap();
    rt.call_with(old, b"3".as_slice().into(), PATIENCE, None, sink).unwrap();
    drop(closed);
    let info = end.recv_timeout(PATIENCE).unwrap();
    assert!(info.reason.is_failure());
    assert!(rt.send_named("member", b"4".as_slice()), "kept for the replacement");
    assert_eq!(rt.metrics().books.parked, 4);

    let ticket = rt.begin_replacement();
    let new = spawn(&rt, &log, &gate);
    assert!(rt.send(new, b"5".as_slice()));
    assert!(rt.end_replacement(ticket, old, Some(new)));
    assert_eq!(&*answer.recv_timeout(PATIENCE).unwrap().unwrap(), b"3");
    assert_eq!(rt.whereis("member"), Some(new));
    quiet(&rt);
    assert_eq!(*log.lock().unwrap(), ["wait", "1", "2", "3", "4", "5"]);
    assert_eq!(rt.metrics().books.parked, 0);
}

#[test]
fn without_a_replacement_what_was_left_is_dead() {
    let rt = runtime(2);
    let (log, gate) = (Log::default(), Arc::new(Mutex::new(())));
    for closes in [false, true] {
        let old = spawn(&rt, &log, &gate);
        rt.register("member", old).unwrap();
        let end = ended(&rt, old);
        let shut = gate.lock().unwrap();
        for text in ["wait", "boom", "1", "2"] {
            assert!(rt.send(old, text.as_bytes()));
        }
        drop(shut);
        end.recv_timeout(PATIENCE).unwrap();
        if closes {
            rt.close(PATIENCE).unwrap();
        } else {
            let ticket = rt.begin_replacement();
            assert!(!rt.end_replacement(ticket, old, None));
        }
        until("nothing is parked", || rt.metrics().books.parked == 0);
        assert_eq!(rt.whereis("member"), None);
    }
    assert!(log.lock().unwrap().iter().all(|text| text == "wait"));
}

#[test]
fn who_is_stopped_or_killed_leaves_nothing() {
    let rt = runtime(2);
    let (log, gate) = (Log::default(), Arc::new(Mutex::new(())));
    for kills in [false, true] {
        let old = spawn(&rt, &log, &gate);
        let end = ended(&rt, old);
        let shut = gate.lock().unwrap();
        for text in ["wait", "1"] {
            assert!(rt.send(old, text.as_bytes()));
        }
        if kills {
            rt.kill(old);
        } else {
            rt.stop(old);
        }
        drop(shut);
        end.recv_timeout(PATIENCE).unwrap();
        quiet(&rt);
        assert_eq!(rt.metrics().books.parked, 0);
        // The one that takes its place all the same begins with nothing.
        let ticket = rt.begin_replacement();
        let new = spawn(&rt, &log, &gate);
        assert!(rt.end_replacement(ticket, old, Some(new)));
        quiet(&rt);
    }
    assert!(!log.lock().unwrap().iter().any(|text| text == "1"));
}
