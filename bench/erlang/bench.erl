%% The same works on the BEAM: erl -noshell -pa DIR -run bench main WORK N [SIZE]
%% Prints {"metric":..,"value":..,"unit":..}, as the other programs of bench/ do; BENCH_MIN_MS as there.
-module(bench).
-export([main/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, start_crasher/1]).
-behaviour(gen_server).

main([Work | Args]) ->
    Self = self(),
    %% A fresh process with a modest heap, as an application would run it.
    {Pid, Ref} = spawn_monitor(fun() ->
        run(Work, [list_to_integer(A) || A <- Args]),
        Self ! {done, self()}
    end),
    receive
        {done, Pid} ->
            halt(0);
        {'DOWN', Ref, process, Pid, Reason} ->
            io:format(standard_error, "~p~n", [Reason]),
            halt(1)
    end.

run("tell", [N]) -> rated(N, fun tell/1, "msg/s");
run("pingpong", [N]) -> rated(N, fun pingpong/1, "rt/s");
run("ring", [N, Size]) -> rated(N, fun(M) -> ring(M, Size) end, "hop/s");
run("big", [N, Size]) -> rated(N, fun(M) -> big(M, Size) end, "msg/s");
run("fanout", [N]) -> fanout(N);
run("spawn", [N]) -> spawn_idle(N);
run("call", [N]) ->
    {ok, Echo} = gen_server:start(?MODULE, echo, []),
    rated(N, fun(M) -> timed(fun() -> call_n(Echo, payload(), M) end) end, "call/s");
run("call1000", [N, Size]) ->
    {ok, Echo} = gen_server:start(?MODULE, echo, []),
    rated(N, fun(M) -> call_at_once(Echo, M, Size) end, "call/s");
%% Every process of Erlang takes its messages itself.
run("pull", [N]) -> rated(N, fun tell/1, "msg/s");
run("pullping", [N]) -> rated(N, fun pingpong/1, "rt/s");
run("select", [N, Size]) -> rated(N, fun(M) -> select(M, Size) end, "msg/s");
run("swap", [N]) -> rated(N, fun swap/1, "swap/s");
run("churn", [N]) -> rated(N, fun churn/1, "cycle/s");
run("restart", [N]) -> restart(N);
run("recovery", [N]) -> recovery(N);
run("kept", [N]) -> kept(N);
run("namelookup", [N]) ->
    names(1000000),
    rated(N, fun(M) -> timed(fun() -> find_n(M, 0) end) end, "lookup/s");
run("monitor", [N]) ->
    Other = spawn(fun() -> receive stop -> ok end end),
    rated(N, fun(M) -> timed(fun() -> monitor_n(Other, M) end) end, "monitor/s").

%% Clock, figures ------------------------------------------------------------
now_ns() -> erlang:monotonic_time(nanosecond).

timed(Work) ->
    Start = now_ns(),
    Work(),
    now_ns() - Start.

emit(Metric, Value, Unit) ->
    io:format("{\"metric\":\"~s\",\"value\":~w,\"unit\":\"~s\"}~n", [Metric, round(Value), Unit]).

least_ns() -> list_to_integer(os:getenv("BENCH_MIN_MS", "300")) * 1000000.

rated(N, Once, Unit) ->
    Least = least_ns(),
    _ = until(Least div 3, max(1, N div 10), Once, 0, 0),
    {Done, Spent} = until(Least, N, Once, 0, 0),
    emit("rate", Done * 1.0e9 / Spent, Unit).

until(Least, _, _, Done, Spent) when Done > 0, Spent >= Least -> {Done, Spent};
until(Least, N, Once, Done, Spent) -> until(Least, N, Once, Done + N, Spent + Once(N)).

rss() ->
    {ok, File} = file:open("/proc/self/statm", [read]),
    {ok, Line} = file:read_line(File),
    file:close(File),
    [_, Pages | _] = string:tokens(Line, " "),
    list_to_integer(Pages) * 4096.

%% 64 bytes live on the process heap, so every send copies them.
payload() -> list_to_binary(lists:duplicate(64, 7)).

wait(0) -> ok;
wait(N) -> receive got -> wait(N - 1) end.

%% Tell ------------------------------------------------------------------------
tell(N) ->
    Self = self(),
    Data = payload(),
    Counter = spawn(fun() -> counter(N, Self, 0) end),
    timed(fun() ->
        send_n(Counter, Data, N),
        wait(1)
    end).

counter(0, Done, _) -> Done ! got;
counter(N, Done, Bytes) -> receive {msg, Data} -> counter(N - 1, Done, Bytes + byte_size(Data)) end.

send_n(_, _, 0) -> ok;
send_n(To, Data, N) ->
    To ! {msg, Data},
    send_n(To, Data, N - 1).

%% Ping-pong ---------------------------------------------------------------------
pingpong(N) ->
    Pong = spawn(fun pong/0),
    Data = payload(),
    Took = timed(fun() -> ping(Pong, Data, N) end),
    Pong ! stop,
    Took.

pong() ->
    receive
        {ping, From, Data} ->
            From ! {pong, Data},
            pong();
        stop ->
            ok
    end.

ping(_, _, 0) -> ok;
ping(Pong, Data, N) ->
    Pong ! {ping, self(), Data},
    receive {pong, _} -> ping(Pong, Data, N - 1) end.

%% Selective receive: a message that is wanted comes behind Size that are not. ---------
select(N, Size) ->
    Self = self(),
    Data = payload(),
    Pid = spawn(fun() ->
        send_n(self(), Data, Size),
        Took = timed(fun() -> select_n(Data, N) end),
        Self ! {took, self(), Took}
    end),
    receive {took, Pid, Took} -> Took end.

select_n(_, 0) -> ok;
select_n(Data, N) ->
    self() ! {wanted, Data},
    receive {wanted, _} -> select_n(Data, N - 1) end.

%% Hot swap: the next message sees the other fun. ---------------------------------------
swap(N) ->
    Self = self(),
    Data = payload(),
    First = fun(Seen) -> Seen + 1 end,
    Second = fun(Seen) -> 1 + Seen end,
    Pid = spawn(fun() -> swapped(First, N, Self, 0) end),
    timed(fun() ->
        swap_n(Pid, Data, First, Second, N),
        wait(1)
    end).

swap_n(_, _, _, _, 0) -> ok;
swap_n(Pid, Data, First, Second, N) ->
    Pid ! {msg, Data},
    Pid ! {swap, Second},
    swap_n(Pid, Data, Second, First, N - 1).

swapped(_, N, Done, N) -> Done ! got;
swapped(Handler, N, Done, Seen) ->
    receive
        {msg, _} -> swapped(Handler, N, Done, Handler(Seen));
        {swap, Next} -> swapped(Next, N, Done, Seen)
    end.

%% Churn ---------------------------------------------------------------------------------
churn(N) ->
    timed(fun() ->
        churn_n(N),
        {Pid, Ref} = spawn_monitor(fun() -> receive stop -> ok end end),
        Pid ! stop,
        receive {'DOWN', Ref, process, Pid, _} -> ok end
    end).

churn_n(0) -> ok;
churn_n(N) ->
    spawn(fun() -> receive stop -> ok end end) ! stop,
    churn_n(N - 1).

%% Ring --------------------------------------------------------------------------
ring(N, Size) ->
    Self = self(),
    First = spawn(fun() -> receive {next, Next} -> ring_node(Next, Self) end end),
    Link = fun(_, Next) -> spawn(fun() -> ring_node(Next, Self) end) end,
    First ! {next, lists:foldl(Link, First, lists:seq(1, Size - 1))},
    Data = payload(),
    timed(fun() ->
        First ! {token, N, Data},
        wait(1)
    end).

ring_node(Next, Done) ->
    receive
        {token, 1, _} ->
            Done ! got,
            Next ! stop;
        {token, N, Data} ->
            Next ! {token, N - 1, Data},
            ring_node(Next, Done);
        stop ->
            Next ! stop
    end.

%% Big -----------------------------------------------------------------------------
big(N, Size) ->
    Sink = self(),
    Data = payload(),
    Sends = max(1, N div Size),
    rand:seed(exsss, {1, 2, 3}),
    Targets = [[rand:uniform(Size) || _ <- lists:seq(1, Sends)] || _ <- lists:seq(1, Size)],
    Count = fun(To, Expected) -> maps:update_with(To, fun(X) -> X + 1 end, 1, Expected) end,
    Expected = lists:foldl(Count, #{}, lists:append(Targets)),
    Actors = list_to_tuple([spawn(fun() -> big_actor(Sink, Data) end) || _ <- lists:seq(1, Size)]),
    %% The targets are copied to the actors before the clock starts.
    [
        element(I, Actors) ! {prime, Actors, Mine, maps:get(I, Expected, 0)}
     || {I, Mine} <- lists:zip(lists:seq(1, Size), Targets)
    ],
    wait(Size),
    timed(fun() ->
        [Actor ! go || Actor <- tuple_to_list(Actors)],
        wait(Size)
    end).

big_actor(Sink, Data) ->
    receive
        {prime, Actors, Targets, Expected} ->
            Sink ! got,
            receive
                go ->
                    [element(To, Actors) ! {msg, Data} || To <- Targets],
                    big_receive(Expected, Sink)
            end
    end.

big_receive(0, Sink) -> Sink ! got;
big_receive(N, Sink) -> receive {msg, _} -> big_receive(N - 1, Sink) end.

%% Fan-out, spawn --------------------------------------------------------------------
fanout(N) ->
    Self = self(),
    Data = payload(),
    Handled = atomics:new(1, []),
    Actors = [spawn(fun() -> idle(Handled, N, Self) end) || _ <- lists:seq(1, N)],
    Once = fun(_) ->
        atomics:put(Handled, 1, 0),
        timed(fun() ->
            [Actor ! {msg, Data} || Actor <- Actors],
            wait(1)
        end)
    end,
    _ = Once(N),
    rated(N, Once, "msg/s").

idle(Handled, Last, Done) ->
    receive
        {msg, _} ->
            case atomics:add_get(Handled, 1, 1) of
                Last -> Done ! got;
                _ -> ok
            end,
            idle(Handled, Last, Done)
    end.

spawn_idle(N) ->
    erlang:garbage_collect(),
    Self = self(),
    Handled = atomics:new(1, []),
    Before = rss(),
    Start = now_ns(),
    Actors = spawn_n(N, fun() -> idle(Handled, N, Self) end, []),
    Took = now_ns() - Start,
    timer:sleep(100),
    emit("rate", N * 1.0e9 / Took, "actor/s"),
    emit("rss_per_actor", (rss() - Before) / length(Actors), "B").

spawn_n(0, _, Actors) -> Actors;
spawn_n(N, Run, Actors) -> spawn_n(N - 1, Run, [spawn(Run) | Actors]).

%% Call ------------------------------------------------------------------------------
call_n(_, _, 0) -> ok;
call_n(Echo, Data, N) ->
    _ = gen_server:call(Echo, {echo, Data}),
    call_n(Echo, Data, N - 1).

call_at_once(Echo, N, Size) ->
    Self = self(),
    Data = payload(),
    Each = max(1, N div Size),
    Took = timed(fun() ->
        Caller = fun() ->
            call_n(Echo, Data, Each),
            Self ! got
        end,
        [spawn(Caller) || _ <- lists:seq(1, Size)],
        wait(Size)
    end),
    Took * N div (Each * Size).

%% Supervision ---------------------------------------------------------------------
%% The supervisor looks through the restarts of its last second on every restart: bursts of N, with that second over before each.
supervised(Arg) ->
    logger:set_primary_config(level, none),
    {ok, Sup} = supervisor:start_link(?MODULE, supervisor),
    {ok, _} = supervisor:start_child(Sup, [Arg]),
    receive {up, Pid} -> Pid end.

restart(N) ->
    Burst = fun(_, {First, Spent}) ->
        timer:sleep(1100),
        Start = now_ns(),
        Last = crash_n(First, N),
        {Last, Spent + now_ns() - Start}
    end,
    {_, Spent} = lists:foldl(Burst, {supervised(self()), 0}, lists:seq(1, 3)),
    emit("rate", 3 * N * 1.0e9 / Spent, "restart/s").

crash_n(Pid, 0) -> Pid;
crash_n(Pid, N) ->
    Pid ! crash,
    receive {up, Next} -> crash_n(Next, N - 1) end.

%% From the crash until the replacement has handled a message, which is sent when it is known.
recovery(N) ->
    Once = fun(_, {Pid, Times}) ->
        Start = now_ns(),
        Pid ! crash,
        receive {up, Next} -> Next ! {echo, self()} end,
        receive got -> ok end,
        {Next, [now_ns() - Start | Times]}
    end,
    {_, Times} = lists:foldl(Once, {supervised(self()), []}, lists:seq(1, N)),
    Sorted = lists:sort(Times),
    io:format("{\"metric\":\"p50\",\"value\":~.3f,\"unit\":\"us\"}~n", [lists:nth((N + 1) div 2, Sorted) / 1000]).

%% N messages to a registered child, of which every hundredth crashes it: what is in the mailbox then is lost.
kept(N) ->
    Handled = counters:new(1, []),
    _ = supervised({named, Handled, self()}),
    Message = fun(I) ->
        case I rem 100 of
            50 -> crash;
            _ -> {msg, payload()}
        end
    end,
    _ = [catch (crasher ! Message(I)) || I <- lists:seq(1, N)],
    timer:sleep(300),
    emit("kept", counters:get(Handled, 1), "msg").

%% Names that are no atoms are in a table: what `global` and its like look them up in.
names(N) ->
    ets:new(names, [named_table, public, {read_concurrency, true}]),
    [ets:insert(names, {name(I), self()}) || I <- lists:seq(0, N - 1)].

name(I) -> <<"name-", (integer_to_binary(I))/binary>>.

find_n(M, M) -> ok;
find_n(M, I) ->
    [{_, _}] = ets:lookup(names, name(I * 7919 rem 1000000)),
    find_n(M, I + 1).

monitor_n(_, 0) -> ok;
monitor_n(Pid, N) ->
    erlang:demonitor(erlang:monitor(process, Pid)),
    monitor_n(Pid, N - 1).

start_crasher(Arg) -> gen_server:start_link(?MODULE, {crasher, Arg}, []).

init(supervisor) ->
    Child = #{id => child, start => {?MODULE, start_crasher, []}, restart => permanent},
    {ok, {#{strategy => simple_one_for_one, intensity => 1000000, period => 1}, [Child]}};
init({crasher, {named, Handled, To}}) ->
    register(crasher, self()),
    To ! {up, self()},
    {ok, Handled};
init({crasher, To}) ->
    To ! {up, self()},
    {ok, none};
init(echo) ->
    {ok, echo}.
handle_call({echo, Data}, _From, State) -> {reply, Data, State}.
handle_cast(_, State) -> {noreply, State}.
handle_info(crash, _) -> erlang:error(boom);
handle_info({echo, To}, State) ->
    To ! got,
    {noreply, State};
handle_info({msg, _}, Handled) ->
    counters:add(Handled, 1, 1),
    {noreply, Handled};
handle_info(_, State) -> {noreply, State}.
