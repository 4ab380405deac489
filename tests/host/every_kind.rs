//! What every kind of pool promises.

use crate::fakes::{Failure, Of, Script, World};
use edgepool::{Assertion, Error, LeaseOf, Null, Patience, PoolKind, Queue, ResetStyle, Singleton, Static, Within};
use std::pin::pin;
use std::time::Duration;

fn each(run: [fn(&World); 5]) {
    for run in run {
        run(&World::new());
    }
}

macro_rules! every_kind {
    ($($(#[$meta:meta])* fn $name:ident($world:ident) $body:block)*) => {
        $($(#[$meta])*
        #[test]
        fn $name() {
            fn run<K: PoolKind>($world: &World) $body
            each([run::<Queue>, run::<Null>, run::<Static>, run::<Singleton>, run::<Assertion>]);
        })*
    };
}

fn pool<K: PoolKind>(world: &World) -> Of<K> {
    world.listened(|builder| builder.driver_timeout(Duration::from_millis(50)))
}

every_kind! {
    fn constructing_disposing_and_recreating_call_no_creator_and_keep_the_class(world) {
        let pool = pool::<K>(world);
        world.run(pool.dispose());
        let again: Of<K> = pool.recreate();
        world.run(again.dispose());
        assert_eq!(world.trace(), "");
    }

    fn recreate_has_the_same_creator_and_shares_nothing_else_with_the_old_pool(world) {
        let pool = pool::<K>(world);
        let lease = world.connect(&pool);
        let again = pool.recreate();
        let other = world.connect(&again);
        assert_ne!(lease.number, other.number);
        world.close(lease);
        world.run(pool.close());
        assert!(!again.is_closed());
    }

    fn connect_close_dispose_recreate_connect_close_call_the_driver_as_they_should(world) {
        let pool = world.pool::<K>(|builder| builder.reset_on_return(ResetStyle::Session));
        world.close(world.connect(&pool));
        world.run(pool.dispose());
        assert_eq!(world.trace(), "open, session 0, close 0");
        let again = pool.recreate();
        world.close(world.connect(&again));
        assert!(world.trace().starts_with("open, session 1"));
    }

    fn a_creators_error_comes_out_as_it_is_emits_nothing_and_the_next_caller_is_served(world) {
        let pool = pool::<K>(world);
        world.opens([Script::Fails("no route")]);
        assert!(matches!(world.refused(&pool), Error::Manager(error) if *error == Failure("no route")));
        assert_eq!(world.trace(), "open");
        drop(world.connect(&pool));
    }

    fn a_connect_listener_that_fails_rejects_connect_the_connection_is_terminated(world) {
        let pool = pool::<K>(world);
        world.listener_fails("connect", "no");
        assert!(matches!(world.refused(&pool), Error::Manager(error) if *error == Failure("no")));
        assert_eq!(world.trace(), "open, first_connect(0), connect(0), terminate 0");
        drop(world.connect(&pool));
    }

    fn a_checkout_listener_that_fails_rejects_connect_and_ends_the_connection(world) {
        let pool = pool::<K>(world);
        world.listener_fails("checkout", "no");
        assert!(matches!(world.refused(&pool), Error::Manager(_)));
        assert_eq!(world.log.open.get(), 0);
        drop(world.connect(&pool));
    }

    fn after_the_second_disconnection_error_a_third_connection_is_discarded(world) {
        let pool = pool::<K>(world);
        world.listener_disconnects("checkout", "gone", false);
        world.listener_disconnects("checkout", "gone", false);
        assert!(matches!(world.refused(&pool), Error::Disconnected { .. }));
        drop(world.connect(&pool));
    }

    fn after_invalidate_all_a_lease_goes_on_and_the_next_caller_has_another_connection(world) {
        let pool = pool::<K>(world);
        let lease = world.connect(&pool);
        pool.invalidate();
        assert_eq!(lease.number, 0);
        world.close(lease);
        assert_eq!(world.connect(&pool).number, 1);
    }

    fn a_reset_that_fails_costs_the_connection_not_the_return(world) {
        let pool = world.pool::<K>(|builder| builder.reset_on_return(ResetStyle::Session));
        let lease = world.connect(&pool);
        world.resets([Script::Fails("reset")]);
        world.close(lease);
        assert!(world.trace().ends_with("session 0, terminate 0"));
        assert_eq!(world.connect(&pool).number, 1);
    }

    fn a_reset_that_hangs_is_given_driver_timeout(world) {
        let pool = world.pool::<K>(|builder| {
            builder.reset_on_return(ResetStyle::Session).driver_timeout(Duration::from_millis(50))
        });
        let lease = world.connect(&pool);
        world.resets([Script::Hangs]);
        world.close(lease);
        world.assert_time(50.0);
        assert_eq!(world.connect(&pool).number, 1);
    }

    fn first_connect_fires_once_however_many_connections_are_opened(world) {
        let pool = pool::<K>(world);
        for _ in 0..3 {
            world.close(world.connect(&pool));
            pool.invalidate();
        }
        assert_eq!(world.trace().matches("first_connect").count(), 1);
    }

    fn an_abort_while_the_connection_opens_refuses_its_caller_at_once_and_nothing_leaks(world) {
        let pool = pool::<K>(world);
        world.opens([Script::takes(5)]);
        drop(world.wait(&pool));
        world.pass(5);
        drop(world.connect(&pool));
        world.run(pool.close());
        assert_eq!(world.log.open.get(), 0);
    }

    fn deadline_and_driver_timeout_bound_the_opening(world) {
        let pool = pool::<K>(world);
        world.opens([Script::Hangs]);
        assert!(matches!(world.refused(&pool), Error::Timeout(timeout) if timeout.option == "driver_timeout"));
        world.opens([Script::Hangs]);
        let within = Within { deadline: Some(Duration::from_millis(10)), ..Within::default() };
        let Err(Error::Timeout(timeout)) = world.run(pool.connect_within(within)) else { panic!("it opened") };
        assert_eq!(timeout.option, "deadline");
    }

    fn dispose_leaves_a_lease_alone_its_connection_is_closed_at_its_return_once(world) {
        let pool = world.pool::<K>(|builder| builder);
        let lease = world.connect(&pool);
        world.run(pool.dispose());
        assert_eq!(world.trace(), "open");
        world.close(lease);
        assert_eq!(world.trace(), "close 0");
    }

    fn close_waits_for_the_lease_refuses_later_callers_and_closes_at_its_return(world) {
        let pool = world.pool::<K>(|builder| builder);
        let lease = world.connect(&pool);
        let mut closing = pin!(pool.close());
        assert!(world.poll(closing.as_mut()).is_none());
        assert!(matches!(world.refused(&pool), Error::Closed { .. }));
        world.close(lease);
        assert!(world.poll(closing).is_some());
        assert_eq!(world.trace(), "open, close 0");
    }

    fn a_lease_that_is_not_back_within_closes_timeout_is_ended_once(world) {
        let pool = world.pool::<K>(|builder| builder);
        let lease = world.connect(&pool);
        world.run(pool.close_within(Patience { time: Some(Duration::from_millis(20)), drain: false }));
        drop(lease);
        assert_eq!(world.trace(), "open, terminate 0");
    }

    fn close_ends_what_an_opening_still_brings(world) {
        let pool = world.pool::<K>(|builder| builder);
        world.opens([Script::takes(30)]);
        let mut waiter = world.wait(&pool);
        world.run(pool.close());
        assert!(matches!(world.poll(waiter.as_mut()), Some(Err(Error::Closed { .. }))));
        assert_eq!(world.log.open.get(), 0);
    }

    fn use_returns_or_throws_what_its_function_does_and_returns_the_connection(world) {
        let pool = world.pool::<K>(|builder| builder.reset_on_return(ResetStyle::Session));
        let number = world.run(pool.use_with(async |lease| Ok::<_, Error<Failure>>(lease.number)));
        assert_eq!(number.unwrap(), 0);
        let mine = Error::Manager(std::rc::Rc::new(Failure("mine")));
        let failed = world.run(pool.use_with(async |_| Err::<(), _>(mine)));
        assert!(matches!(failed, Err(Error::Manager(error)) if *error == Failure("mine")));
        assert_eq!(pool.stats().used, 0);
    }

    fn status_is_one_line(world) {
        let pool = pool::<K>(world);
        assert!(!pool.status().contains('\n'));
    }

    fn a_lease_that_is_dropped_is_returned_like_one_that_is_closed(world) {
        let pool = world.pool::<K>(|builder| builder.reset_on_return(ResetStyle::Session));
        drop(world.connect(&pool));
        assert!(world.trace().starts_with("open, session 0"));
        let lease = world.connect(&pool);
        let closed = LeaseOf::close_after(lease, &Failure("lost"));
        world.run(closed);
        assert!(world.trace().ends_with("terminate 0") || world.trace().is_empty());
    }
}
