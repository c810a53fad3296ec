//! How many calls a server, or all servers together, run at once; who waits, and who is told to come back later.
//!
//! [`Queue`] is the decision as a value. [`Gate`] is what a call waits at.

use std::collections::VecDeque;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// The settings of one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many calls run at once; 0 means any number.
    pub running: usize,
    /// How many calls wait for one of those to end; the next is refused.
    pub waiting: usize,
    /// How long a call waits before it is refused.
    pub patience: Duration,
}

impl Limits {
    /// No limit.
    pub const NONE: Limits = Limits {
        running: 0,
        waiting: 0,
        patience: Duration::ZERO,
    };

    fn is_off(self) -> bool {
        self.running == 0
    }
}

/// A call was refused because too many were before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy {
    /// When it may succeed.
    pub retry_in: Duration,
}

/// What becomes of a call that arrives.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival<T> {
    Run,
    Wait,
    Refused,
    /// It waits, in place of the newest call of the session that has the most waiting.
    WaitInsteadOf(T),
}

/// The calls that run and those that wait, by session.
#[derive(Debug)]
pub struct Queue<S, T> {
    limits: Limits,
    running: usize,
    /// The session whose turn is next is first; each session's calls are in the order of their arrival.
    waiting: VecDeque<(S, VecDeque<T>)>,
    /// How long calls take, on average.
    average: Duration,
}

impl<S: Eq + Hash, T: PartialEq> Queue<S, T> {
    /// An empty queue.
    pub fn new(limits: Limits) -> Queue<S, T> {
        Queue {
            limits,
            running: 0,
            waiting: VecDeque::new(),
            average: Duration::from_secs(1),
        }
    }

    /// How many calls wait.
    pub fn waiting(&self) -> usize {
        self.waiting.iter().map(|(_, calls)| calls.len()).sum()
    }

    /// A call arrives. A full queue takes it in only in place of another session's call, if that session has more waiting.
    pub fn arrive(&mut self, session: S, call: T) -> Arrival<T> {
        if self.limits.is_off() || (self.running < self.limits.running && self.waiting.is_empty()) {
            self.running += 1;
            return Arrival::Run;
        }
        let own = self.waiting.iter().find(|(other, _)| *other == session).map_or(0, |(_, calls)| calls.len());
        let mut out = None;
        if self.waiting() >= self.limits.waiting {
            let longest = self.waiting.iter_mut().max_by_key(|(_, calls)| calls.len());
            match longest.filter(|(_, calls)| calls.len() > own + 1) {
                Some((_, calls)) => out = calls.pop_back(),
                None => return Arrival::Refused,
            }
        }
        match self.waiting.iter_mut().find(|(other, _)| *other == session) {
            Some((_, calls)) => calls.push_back(call),
            None => self.waiting.push_back((session, VecDeque::from([call]))),
        }
        out.map_or(Arrival::Wait, Arrival::WaitInsteadOf)
    }

    /// A call has ended after this time, if it ran at all; gives the calls that run now.
    pub fn leave(&mut self, took: Option<Duration>) -> Vec<T> {
        self.running = self.running.saturating_sub(1);
        self.average = took.map_or(self.average, |took| (self.average * 7 + took) / 8);
        self.start()
    }

    /// A call gives up waiting. `false` if it does not wait (any more).
    pub fn withdraw(&mut self, call: &T) -> bool {
        let found = self.waiting.iter_mut().find_map(|(_, calls)| {
            let at = calls.iter().position(|waiting| waiting == call)?;
            calls.remove(at)
        });
        self.waiting.retain(|(_, calls)| !calls.is_empty());
        found.is_some()
    }

    /// Other limits; gives the calls that run now.
    pub fn set_limits(&mut self, limits: Limits) -> Vec<T> {
        self.limits = limits;
        self.start()
    }

    /// When a call that is refused now may succeed.
    pub fn retry_in(&self) -> Duration {
        let ahead = u32::try_from(self.waiting() + 1).unwrap_or(u32::MAX);
        let lanes = u32::try_from(self.limits.running.max(1)).unwrap_or(u32::MAX);
        let estimate = self.average.saturating_mul(ahead.div_ceil(lanes));
        let most = self.limits.patience.max(Duration::from_secs(1));
        Duration::from_secs(estimate.as_secs() + u64::from(estimate.subsec_nanos() > 0))
            .max(Duration::from_secs(1))
            .min(most)
    }

    /// Starts calls while there is room, one of each session in turn.
    fn start(&mut self) -> Vec<T> {
        let mut started = Vec::new();
        while self.limits.is_off() || self.running < self.limits.running {
            let Some((session, mut calls)) = self.waiting.pop_front() else { break };
            if let Some(call) = calls.pop_front() {
                self.running += 1;
                started.push(call);
            }
            if !calls.is_empty() {
                self.waiting.push_back((session, calls));
            }
        }
        started
    }
}

/// A call that waits.
#[derive(Debug)]
struct Ticket {
    number: u64,
    turn: Option<oneshot::Sender<()>>,
}

impl PartialEq for Ticket {
    fn eq(&self, other: &Ticket) -> bool {
        self.number == other.number
    }
}

/// What calls wait at until it is their turn.
#[derive(Debug)]
pub struct Gate<S> {
    inner: Mutex<Inner<S>>,
}

#[derive(Debug)]
struct Inner<S> {
    queue: Queue<S, Ticket>,
    next: u64,
}

/// The right to run one call; it ends with this value.
#[derive(Debug)]
pub struct Permit<S: Eq + Hash> {
    gate: Arc<Gate<S>>,
    since: Instant,
}

impl<S: Eq + Hash> Gate<S> {
    /// A gate with these limits.
    pub fn new(limits: Limits) -> Arc<Gate<S>> {
        Arc::new(Gate {
            inner: Mutex::new(Inner {
                queue: Queue::new(limits),
                next: 0,
            }),
        })
    }

    /// Other limits, from now on.
    pub fn set_limits(&self, limits: Limits) {
        let started = self.inner().queue.set_limits(limits);
        self.wake(started);
    }

    /// Waits for the turn of a session's call.
    ///
    /// # Errors
    /// [`Busy`]: the queue is full, or the call has waited for too long.
    pub async fn enter(self: &Arc<Gate<S>>, session: S) -> Result<Permit<S>, Busy> {
        let (number, patience, turn) = {
            let mut inner = self.inner();
            let number = inner.next;
            inner.next += 1;
            let (tell, turn) = oneshot::channel();
            let ticket = Ticket {
                number,
                turn: Some(tell),
            };
            match inner.queue.arrive(session, ticket) {
                Arrival::Run => return Ok(self.permit()),
                Arrival::Refused => return Err(inner.busy()),
                // Dropping the other call's ticket tells it that it is refused.
                Arrival::Wait | Arrival::WaitInsteadOf(_) => {}
            }
            (number, inner.queue.limits.patience, turn)
        };
        let mut place = Place {
            gate: self,
            number,
            turn,
        };
        match tokio::time::timeout(patience, &mut place.turn).await {
            Ok(Ok(())) => Ok(self.permit()),
            Ok(Err(_)) => Err(self.inner().busy()),
            Err(_) if place.give_up() => Ok(self.permit()),
            Err(_) => Err(self.inner().busy()),
        }
    }

    fn permit(self: &Arc<Gate<S>>) -> Permit<S> {
        Permit {
            gate: self.clone(),
            since: Instant::now(),
        }
    }

    fn leave(&self, took: Option<Duration>) {
        let started = self.inner().queue.leave(took);
        self.wake(started);
    }

    fn wake(&self, started: Vec<Ticket>) {
        for mut ticket in started {
            let told = ticket.turn.take().is_some_and(|turn| turn.send(()).is_ok());
            if !told {
                // Its client has gone; the next may run.
                self.leave(None);
            }
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner<S>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Eq + Hash> Inner<S> {
    fn busy(&self) -> Busy {
        Busy {
            retry_in: self.queue.retry_in(),
        }
    }
}

impl<S: Eq + Hash> Drop for Permit<S> {
    fn drop(&mut self) {
        self.gate.leave(Some(self.since.elapsed()));
    }
}

/// A place in the queue, given up when its call is cancelled.
struct Place<'a, S: Eq + Hash> {
    gate: &'a Gate<S>,
    number: u64,
    turn: oneshot::Receiver<()>,
}

impl<S: Eq + Hash> Place<'_, S> {
    /// Waits no longer; whether its turn came in the last moment.
    fn give_up(&mut self) -> bool {
        let ticket = Ticket {
            number: self.number,
            turn: None,
        };
        if self.gate.inner().queue.withdraw(&ticket) {
            return false;
        }
        // What is told after this is told to nobody, and `wake` sees that.
        self.turn.close();
        self.turn.try_recv().is_ok()
    }
}

impl<S: Eq + Hash> Drop for Place<'_, S> {
    fn drop(&mut self) {
        if self.give_up() {
            self.gate.leave(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(running: usize, waiting: usize) -> Limits {
        Limits {
            running,
            waiting,
            patience: Duration::from_secs(30),
        }
    }

    #[test]
    fn of_a_burst_some_run_some_wait_and_the_rest_is_refused() {
        let mut queue = Queue::new(limits(4, 16));
        let arrivals: Vec<_> = (0..200).map(|call| queue.arrive("a", call)).collect();
        let count = |arrival| arrivals.iter().filter(|one| **one == arrival).count();
        assert_eq!((count(Arrival::Run), count(Arrival::Wait), count(Arrival::Refused)), (4, 16, 180));
        assert_eq!(queue.leave(Some(Duration::from_secs(1))), [4], "the first that waits runs next");
        assert_eq!(queue.waiting(), 15);
        assert!(queue.retry_in() >= Duration::from_secs(1));
    }

    #[test]
    fn sessions_take_turns_and_a_flood_keeps_no_other_session_out() {
        let mut queue = Queue::new(limits(1, 6));
        for call in 0..9 {
            queue.arrive("flood", call);
        }
        assert_eq!(queue.arrive("quiet", 100), Arrival::WaitInsteadOf(6));
        assert_eq!(queue.arrive("flood", 9), Arrival::Refused);
        let order: Vec<_> = (0..3).flat_map(|_| queue.leave(None)).collect();
        assert_eq!(order, [1, 100, 2]);
    }

    #[test]
    fn a_higher_limit_starts_calls_at_once_and_no_limit_starts_all() {
        let mut queue = Queue::new(limits(1, 9));
        for call in 0..6 {
            queue.arrive("a", call);
        }
        assert_eq!(queue.set_limits(limits(3, 9)), [1, 2]);
        assert!(queue.withdraw(&3) && !queue.withdraw(&3));
        assert_eq!(queue.set_limits(Limits::NONE), [4, 5]);
        assert_eq!(queue.arrive("a", 7), Arrival::Run);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_waits_for_its_turn_and_for_no_longer_than_its_patience() {
        let gate = Gate::new(limits(1, 1));
        let first = gate.enter("a").await.unwrap();
        let second = tokio::spawn({
            let gate = gate.clone();
            async move { gate.enter("b").await.map(drop) }
        });
        tokio::task::yield_now().await;
        assert!(gate.enter("c").await.is_err(), "the queue is full");
        drop(first);
        assert_eq!(second.await.unwrap(), Ok(()));
        let _first = gate.enter("a").await.unwrap();
        let before = tokio::time::Instant::now();
        assert!(gate.enter("b").await.is_err());
        assert_eq!(before.elapsed(), Duration::from_secs(30));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_cancelled_takes_its_place_with_it() {
        let gate = Gate::new(limits(1, 2));
        let first = gate.enter("a").await.unwrap();
        let waiting = {
            let gate = gate.clone();
            tokio::spawn(async move { gate.enter("a").await.map(drop) })
        };
        tokio::task::yield_now().await;
        // Its turn comes and its client goes in the same moment.
        drop(first);
        waiting.abort();
        let _ = waiting.await;
        let second = gate.enter("a").await;
        assert!(second.is_ok() && gate.inner().queue.running == 1);
    }
}
