//! Fault 44 for restarts: memory stays flat. A process of its own, since it looks at the memory of the whole process.

mod support;

use iris::{ChildSpec, Context, Crash, CrashInfo, Message, Pid, Runtime, SupervisorOptions};
use support::{Fallible, PATIENCE, quiet, rss, runtime, until};

#[test]
fn fault_row_44_restarts_leave_nothing_behind() {
    let rt = runtime(1);
    let options = SupervisorOptions {
        max_restarts: Some(u32::MAX),
        within_ms: Some(1),
        ..SupervisorOptions::default()
    };
    let fails = |_: Message, _: &mut Context<'_>| -> Result<(), Crash> {
        Err(Crash(CrashInfo { message: "boom".into(), stack: None }))
    };
    let start = move |rt: &Runtime| {
        let pid: Pid = rt.spawn(Fallible(fails))?;
        Ok(pid)
    };
    rt.supervise("/svc", vec![ChildSpec::new("w", start)], options).unwrap();
    let cycles = |n: u64| {
        let from = rt.metrics().books.restarts;
        for i in 0..n {
            assert!(rt.send_path("/svc/w", b"boom").unwrap());
            if i % 100 == 99 {
                until("it keeps up", || rt.metrics().books.restarts > from + i.saturating_sub(100));
            }
        }
        until("all have crashed", || rt.metrics().books.restarts == from + n);
    };
    cycles(5_000);
    let before = rss();
    cycles(if cfg!(debug_assertions) { 20_000 } else { 200_000 });
    assert!(rss() < before + (8 << 20), "from {before} to {}", rss());
    quiet(&rt);
    let m = rt.metrics();
    assert_eq!((m.actors, m.paths, m.names, m.monitors), (1, 1, 0, 0));
    rt.close(PATIENCE).unwrap();
}
