%% The works of bench/node/remote.mjs between two BEAM nodes (started by bench/node/remote/erlang.mjs).
-module(dist).
-export([serve/0, main/1]).

serve() -> register(sink, self()), loop().

loop() ->
    receive
        {expect, N, From} -> count(N, From), loop();
        {call, Ref, From, Data} -> From ! {Ref, Data}, loop()
    end.

count(0, From) -> From ! done;
count(N, From) -> receive {data, _} -> count(N - 1, From) end.

main([Work, N, Size]) ->
    Sink = {sink, 'server@127.0.0.1'},
    find(100),
    Data = binary:copy(<<7>>, list_to_integer(Size)),
    run(Work, Sink, list_to_integer(N), Data),
    halt(0).

find(0) -> halt(1);
find(Tries) ->
    case net_adm:ping('server@127.0.0.1') of
        pong -> timer:sleep(200);
        pang -> timer:sleep(50), find(Tries - 1)
    end.

now_ns() -> erlang:monotonic_time(nanosecond).

run("oneway", Sink, N, Data) ->
    Least = list_to_integer(os:getenv("BENCH_MIN_MS", "300")) * 1000000,
    _ = until(Least div 2, max(1, N div 10), Sink, Data, 0, 0),
    {Done, Spent} = until(Least, N, Sink, Data, 0, 0),
    emit("rate", Done * 1.0e9 / Spent, "msg/s");
run("rtt", Sink, N, Data) ->
    _ = calls(N div 5 + 1, Sink, Data, []),
    percentiles("", calls(N, Sink, Data, [])),
    %% At half load: half of the calls that it does at most, each begun when it is due.
    Began = now_ns(),
    Many = N * 4,
    at_once(Many, 64, Sink, Data),
    Pause = (now_ns() - Began) * 2 / Many,
    Self = self(),
    Start = now_ns(),
    spawn_link(fun() -> pace(0, N, Start, Pause, Self, Sink, Data) end),
    percentiles("half_", gather(N, [])).

until(Least, N, Sink, Data, Done, Spent) when Spent < Least ->
    Start = now_ns(),
    Sink ! {expect, N, self()},
    send(N, Sink, Data),
    receive done -> ok end,
    until(Least, N, Sink, Data, Done + N, Spent + now_ns() - Start);
until(_, _, _, _, Done, Spent) -> {Done, Spent}.

send(0, _, _) -> ok;
send(N, Sink, Data) -> Sink ! {data, Data}, send(N - 1, Sink, Data).

calls(0, _, _, Times) -> Times;
calls(N, Sink, Data, Times) ->
    Start = now_ns(),
    Ref = make_ref(),
    Sink ! {call, Ref, self(), Data},
    receive {Ref, _} -> ok end,
    calls(N - 1, Sink, Data, [now_ns() - Start | Times]).

at_once(N, Open, Sink, Data) ->
    [Sink ! {call, call, self(), Data} || _ <- lists:seq(1, Open)],
    refill(N - Open, Sink, Data),
    [receive {call, _} -> ok end || _ <- lists:seq(1, Open)].

refill(0, _, _) -> ok;
refill(N, Sink, Data) ->
    receive {call, _} -> Sink ! {call, call, self(), Data} end,
    refill(N - 1, Sink, Data).

pace(N, N, _, _, _, _, _) -> ok;
pace(I, N, Start, Pause, To, Sink, Data) ->
    Due = Start + I * Pause,
    wait(Due),
    Sink ! {call, {due, Due}, To, Data},
    pace(I + 1, N, Start, Pause, To, Sink, Data).

wait(Due) ->
    case now_ns() >= Due of
        true -> ok;
        false -> erlang:yield(), wait(Due)
    end.

gather(0, Times) -> Times;
gather(N, Times) -> receive {{due, Due}, _} -> gather(N - 1, [now_ns() - Due | Times]) end.

percentiles(Prefix, Times) ->
    Sorted = list_to_tuple(lists:sort(Times)),
    At = fun(Share) -> element(1 + trunc((tuple_size(Sorted) - 1) * Share), Sorted) / 1000 end,
    emit(Prefix ++ "p50", At(0.5), "us"),
    emit(Prefix ++ "p99", At(0.99), "us").

emit(Metric, Value, Unit) ->
    io:format("{\"metric\":\"~s\",\"value\":~.3f,\"unit\":\"~s\"}~n", [Metric, Value * 1.0, Unit]).
