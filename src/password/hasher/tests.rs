use super::*;

const PASSWORD: &str = "correct horse battery staple";

fn limits(slots: usize, queue: usize) -> Limits {
    Limits {
        slots,
        queue,
        wait: Duration::MAX,
    }
}

fn password() -> Password {
    PASSWORD.parse().unwrap()
}

#[test]
fn a_password_matches_its_own_hash_only() {
    let hasher = Hasher::new(limits(2, 64));
    let hash = hasher.hash(&password()).unwrap();
    let right = hasher.verify(&password(), Some(&hash)).unwrap();
    assert!(right.matches && right.rehashed.is_none());
    let wrong = "Correct horse battery staple".parse().unwrap();
    assert!(!hasher.verify(&wrong, Some(&hash)).unwrap().matches);
    assert!(!hasher.verify(&password(), None).unwrap().matches);
}

#[test]
fn an_empty_password_is_never_right() {
    let hasher = Hasher::new(limits(1, 64));
    let empty: Password = "".parse().unwrap();
    let hash = hasher.hash(&empty).unwrap();
    assert!(!hasher.verify(&empty, Some(&hash)).unwrap().matches);
}

#[test]
fn a_weak_hash_is_replaced_once_the_password_is_known_to_be_right() {
    let hasher = Hasher::new(limits(1, 64));
    let weak = PasswordHash::parse("$2b$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG")
        .unwrap();
    assert!(
        hasher
            .verify(&"wrong".parse().unwrap(), Some(&weak))
            .unwrap()
            .rehashed
            .is_none()
    );
    let verdict = hasher.verify(&password(), Some(&weak)).unwrap();
    let strong = verdict.rehashed.unwrap();
    let again = hasher.verify(&password(), Some(&strong)).unwrap();
    assert!(again.matches && again.rehashed.is_none());
}

#[test]
fn who_waited_too_long_is_refused_before_the_hash() {
    let hasher = Hasher::new(Limits {
        wait: Duration::ZERO,
        ..limits(1, 64)
    });
    let refused = hasher.hash(&password()).unwrap_err();
    assert_eq!(refused.spec().status, 503);
}

/// Occupies the only slot until the returned sender is dropped.
fn occupy(hasher: &Hasher) -> mpsc::Sender<()> {
    let (started, has_started) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    hasher.submit(Box::new(move |_| {
        started.send(()).unwrap();
        let _ = released.recv();
    }));
    has_started.recv().unwrap();
    release
}

#[test]
fn a_full_queue_refuses_at_once_and_loses_nobody_who_waits() {
    let hasher = Hasher::new(limits(1, 3));
    let release = occupy(&hasher);
    let (answer, answers) = mpsc::channel();
    for _ in 0..3 {
        let answer = answer.clone();
        hasher.hash_then(password(), move |result| {
            answer.send(result.is_ok()).unwrap();
        });
    }
    assert_eq!(hasher.waiting(), 3);
    assert!(matches!(hasher.check_room(), Err(Error::Unavailable(_))));
    let refused = hasher.hash(&password()).unwrap_err();
    assert!(matches!(refused, Error::Unavailable(_)));
    drop((release, answer));
    assert_eq!(answers.into_iter().collect::<Vec<_>>(), [true; 3]);
    hasher.check_room().unwrap();
    hasher.hash(&password()).unwrap();
}

#[test]
fn never_more_threads_than_slots_and_none_before_the_first_use() {
    let hasher = Hasher::new(limits(2, 64));
    assert_eq!(hasher.0.0.lock().threads, 0);
    let (answer, answers) = mpsc::channel();
    for _ in 0..8 {
        let answer = answer.clone();
        hasher.verify_then(password(), None, move |result| {
            answer.send(result.is_ok()).unwrap();
        });
    }
    drop(answer);
    assert_eq!(answers.into_iter().collect::<Vec<_>>(), [true; 8]);
    assert_eq!(hasher.0.0.lock().threads, 2);
}

#[test]
fn no_number_of_slots_means_one_for_each_core() {
    assert_eq!(Limits::with_slots(0).slots, Limits::default().slots);
    assert!(Limits::default().slots > 0);
    assert_eq!(Limits::with_slots(3).slots, 3);
}

#[test]
fn one_hash_after_the_other_needs_one_thread() {
    let hasher = Hasher::new(Limits {
        wait: Duration::MAX,
        ..Limits::with_slots(8)
    });
    for _ in 0..3 {
        hasher.hash(&password()).unwrap();
        assert_eq!(hasher.0.0.lock().threads, 1);
        // The answer is out a moment before its thread is free again.
        while hasher.0.0.lock().idle == 0 {
            thread::yield_now();
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn hashing_threads_run_at_the_lowest_priority() {
    let hasher = Hasher::new(limits(1, 64));
    let (answer, answered) = mpsc::channel();
    hasher.submit(Box::new(move |_| {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        answer.send(stat).unwrap();
    }));
    let stat = answered.recv().unwrap();
    // proc_pid_stat(5): "nice" is field 19; the name in parentheses is field 2.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    assert_eq!(fields.split(' ').nth(16).unwrap(), "19");
}

#[test]
fn what_waits_is_still_done_after_the_last_handle_is_gone() {
    let hasher = Hasher::new(limits(1, 64));
    let release = occupy(&hasher);
    let (answer, answered) = mpsc::channel();
    hasher.hash_then(password(), move |result| {
        answer.send(result.is_ok()).unwrap();
    });
    let pool = Arc::clone(&hasher.0.0);
    drop(hasher);
    drop(release);
    assert!(answered.recv().unwrap());
    // The thread's own reference goes when it ends.
    while Arc::strong_count(&pool) > 1 {
        thread::yield_now();
    }
    assert_eq!(pool.lock().threads, 0);
}

#[test]
fn a_panic_costs_one_request_and_no_slot() {
    let hasher = Hasher::new(limits(1, 64));
    let lost = wait::<()>(|answer| {
        hasher.submit(Box::new(move |_| {
            let _answer = answer;
            panic!("a bug");
        }));
    });
    assert!(matches!(lost, Err(Error::Internal(_))));
    hasher.hash(&password()).unwrap();
}

#[test]
fn whoever_is_wrong_owes_what_an_imported_hash_takes_longer() {
    let hasher = Hasher::new(limits(1, 64));
    let ours = hasher.hash(&password()).unwrap();
    let wrong: Password = "wrong".parse().unwrap();
    let owed = |stored| hasher.verify(&wrong, stored).unwrap().owed;
    assert_eq!(owed(None), Duration::ZERO, "none is known yet");
    let slow = "$2b$12$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG";
    let slow = PasswordHash::parse(slow).unwrap();
    assert_eq!(owed(Some(&slow)), Duration::ZERO, "it is the slowest");
    assert!(owed(None) > Duration::ZERO);
    assert!(owed(Some(&ours)) > Duration::ZERO);
}

#[test]
fn the_slowest_comparison_is_learnt_at_once_and_forgotten_slowly() {
    let slowest = Slowest::default();
    let millis = Duration::from_millis;
    let (slow, fast) = (Some("$2b$12$"), Some("$pbkdf2-sha256$29000"));
    assert_eq!(slowest.owed(millis(30), None), Duration::ZERO);
    assert_eq!(slowest.owed(millis(250), slow), Duration::ZERO);
    assert_eq!(slowest.owed(millis(30), None), millis(220));
    assert_eq!(slowest.owed(millis(650), slow), Duration::ZERO);
    // Another sort says nothing of this one.
    assert_eq!(slowest.owed(millis(50), fast), millis(600));
    assert_eq!(slowest.owed(millis(250), slow), millis(350));
    assert_eq!(slowest.owed(millis(600), None), Duration::ZERO);
}

#[test]
fn a_sort_of_hash_is_what_decides_the_time() {
    for (hash, sort) in [
        (
            "$2b$12$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG",
            "$2b$12$",
        ),
        (
            "$pbkdf2-sha256$29000$./..MDEyMzQ1Njc4OWFiYw$o3UhwYUtbPIB3mjjcA9In8tVtrI/IYstYEgAl5b1g98",
            "$pbkdf2-sha256$29000",
        ),
        (
            "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$c29tZWhhc2hzb21laGFzaA",
            "$argon2id$v=19$m=8,t=1,p=1",
        ),
    ] {
        assert_eq!(PasswordHash::stored(hash.to_owned()).sort(), sort);
    }
}
