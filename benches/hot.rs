//! What runs on every request, measured alone: `cargo bench --bench hot`.

#![expect(
    clippy::expect_used,
    reason = "a bench that cannot make its data should stop at once"
)]

use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, Ordering};

use divan::{Bencher, black_box};
use provost::config::DbUrl;
use provost::db::{Db, Role};
use provost::jwt::{Claims, Expected, Key, Parsed, Signers};
use provost::keys::Keys;
use provost::secret::{Secret, random_base62, same};
use provost::sessions;
use provost::time::{self, Timestamp};
use provost::tokens::{self, Kind, SECRET, TokenId};

fn main() {
    divan::main();
}

const NOW: Timestamp = Timestamp(1_795_163_640_123);
const ID: TokenId = TokenId(1_795_163_640_123 << 21);

fn secret() -> Secret<String> {
    random_base62::<SECRET>().expect("random bytes")
}

#[divan::bench]
fn read_the_wall_clock() -> Timestamp {
    time::wall()
}

#[divan::bench]
fn write_a_timestamp() -> String {
    black_box(NOW).to_string()
}

#[divan::bench]
fn read_a_timestamp(bencher: Bencher<'_, '_>) {
    let text = NOW.to_string();
    bencher.bench(|| black_box(text.as_str()).parse::<Timestamp>());
}

#[divan::bench]
fn read_a_token_and_its_check(bencher: Bencher<'_, '_>) {
    let text = tokens::prefixed(Kind::Api, ID, &secret());
    bencher.bench(|| tokens::parse(black_box(text.expose())).is_ok());
}

#[divan::bench]
fn read_a_token_in_the_older_form(bencher: Bencher<'_, '_>) {
    let text = tokens::decimal(ID, &secret());
    bencher.bench(|| tokens::parse(black_box(text.expose())).is_ok());
}

#[divan::bench]
fn write_a_token_with_its_check(bencher: Bencher<'_, '_>) {
    let secret = secret();
    bencher.bench(|| tokens::prefixed(Kind::Api, black_box(ID), &secret));
}

#[divan::bench]
fn digest_a_secret(bencher: Bencher<'_, '_>) {
    let (keys, secret) = (Keys::ephemeral().expect("random bytes"), secret());
    bencher.bench(|| tokens::digest(&keys, Kind::Temporary, ID, black_box(secret.expose())));
}

#[divan::bench]
fn crc_32_of_a_token(bencher: Bencher<'_, '_>) {
    let text = [b'x'; tokens::LENGTH];
    bencher.bench(|| crc32fast::hash(black_box(&text)));
}

#[divan::bench]
fn compare_two_digests(bencher: Bencher<'_, '_>) {
    let (left, right) = ([7_u8; 32], [7_u8; 32]);
    bencher.bench(|| same(black_box(&left), black_box(&right)));
}

#[divan::bench]
fn make_a_random_secret(bencher: Bencher<'_, '_>) {
    bencher.bench(random_base62::<SECRET>);
}

#[divan::bench]
fn make_a_serial_id(bencher: Bencher<'_, '_>) {
    let serials = provost::id::Serials::default();
    bencher.bench(|| serials.next(black_box(NOW)));
}

const SESSION: &str = "0198f3c2-7a41-7d1e-9c55-2b1f6c0d9e77";
const EXPECTED: Expected<'_> = Expected {
    issuer: "provost",
    audience: "provost",
    ttl: std::time::Duration::from_mins(30),
};

fn signing_key() -> Key {
    let keys = Keys::ephemeral().expect("random bytes");
    Key::ed25519(&keys, "abcdefghijklmnop").expect("a key")
}

fn claims() -> Claims {
    let seconds = NOW.0 / 1000;
    Claims {
        iss: EXPECTED.issuer.into(),
        aud: EXPECTED.audience.into(),
        sub: SESSION.into(),
        sid: SESSION.into(),
        jti: "0123456789abcdef0123456789abcdef".into(),
        iat: seconds,
        nbf: seconds,
        exp: seconds + 1800,
    }
}

/// An access token and the key that signed it.
fn access_token() -> (Secret<String>, Key) {
    let key = signing_key();
    (key.sign(&claims()).expect("a token"), key)
}

fn is_good(signers: &Signers, token: &str, key: &Key) -> bool {
    let parsed = Parsed::of(token);
    parsed.is_some_and(|parsed| {
        signers
            .verify(token, &parsed, key, &EXPECTED, NOW)
            .is_some()
    })
}

#[divan::bench]
fn verify_an_access_token_seen_before(bencher: Bencher<'_, '_>) {
    let ((token, key), signers) = (access_token(), Signers::default());
    assert!(is_good(&signers, token.expose(), &key));
    bencher.bench(|| is_good(&signers, black_box(token.expose()), &key));
}

#[divan::bench]
fn verify_an_access_token_never_seen(bencher: Bencher<'_, '_>) {
    let (token, key) = access_token();
    bencher
        .with_inputs(Signers::default)
        .bench_refs(|signers| is_good(signers, black_box(token.expose()), &key));
}

#[divan::bench]
fn sign_an_access_token(bencher: Bencher<'_, '_>) {
    let (key, claims) = (signing_key(), claims());
    bencher.bench(|| key.sign(black_box(&claims)));
}

#[divan::bench]
fn read_a_refresh_token(bencher: Bencher<'_, '_>) {
    let keys = Keys::ephemeral().expect("random bytes");
    let token = sessions::refresh_token(&keys, SESSION, 7).expect("a token");
    bencher.bench(|| sessions::session_of(&keys, black_box(token.expose())));
}

#[divan::bench]
fn check_a_csrf_token(bencher: Bencher<'_, '_>) {
    let keys = Keys::ephemeral().expect("random bytes");
    let token = sessions::csrf_token(&keys, SESSION).expect("random bytes");
    bencher.bench(|| sessions::is_csrf_token(&keys, SESSION, black_box(&token)));
}

#[divan::bench]
fn make_a_csrf_token(bencher: Bencher<'_, '_>) {
    let keys = Keys::ephemeral().expect("random bytes");
    bencher.bench(|| sessions::csrf_token(&keys, black_box(SESSION)));
}

/// A database file as the daemon has it open, with a table as narrow as the tokens'.
struct Store {
    db: Db,
    next: AtomicI64,
    _folder: tempfile::TempDir,
}

const ROWS: i64 = 100_000;
const INSERT: &str =
    "INSERT INTO t (id, digest, kind, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)";

static STORE: LazyLock<Store> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let db =
        Db::open(&DbUrl::Sqlite(folder.path().join("hot.db")), Role::Daemon).expect("a database");
    db.write(|tx| {
        tx.script(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, digest BLOB NOT NULL, kind TEXT NOT NULL,
             owner TEXT, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
             revoked_at INTEGER) STRICT;
             CREATE INDEX t_expires_idx ON t (expires_at);",
        )?;
        for id in 0..ROWS {
            insert(tx, id)?;
        }
        Ok(())
    })
    .expect("rows");
    Store {
        db,
        next: AtomicI64::new(ROWS),
        _folder: folder,
    }
});

fn insert(tx: &mut provost::db::Tx<'_>, id: i64) -> provost::error::Result<u64> {
    let digest: &[u8] = &[7; 32];
    let row = [
        id.into(),
        digest.into(),
        "temporary".into(),
        NOW.into(),
        NOW.into(),
    ];
    tx.run(INSERT, &row)
}

#[divan::bench(threads = [1, 2], sample_size = 200)]
fn read_a_row(bencher: Bencher<'_, '_>) {
    let store = &*STORE;
    bencher.bench(|| {
        // A stride that is prime to the number of rows visits them all, in no order.
        let id = store.next.fetch_add(7919, Ordering::Relaxed) % ROWS;
        store.db.read(|tx| {
            let sql = "SELECT id, digest, kind, owner, created_at, expires_at, revoked_at
                       FROM t WHERE id = $1";
            tx.first(sql, &[id.into()])
        })
    });
}

#[divan::bench(threads = [1, 64], min_time = 1)]
fn write_a_row_durably(bencher: Bencher<'_, '_>) {
    static NEXT: AtomicI64 = AtomicI64::new(ROWS);
    let store = &*STORE;
    bencher.counter(1_u32).bench(|| {
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        store.db.write(move |tx| insert(tx, id))
    });
}
