//! What runs on every request, measured alone: `cargo bench --bench hot`.

use divan::{Bencher, black_box};
use provost::secret::{self, MacKey};
use provost::time::{self, Timestamp};

fn main() {
    divan::main();
}

const NOW: Timestamp = Timestamp(1_795_163_640_123);

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
fn digest_a_secret(bencher: Bencher<'_, '_>) {
    let key = MacKey::new(&[7; 32]);
    let (id, secret) = ([1; 8], [2; 30]);
    bencher.bench(|| key.sign(black_box(&[b"provost/v1/temporary\0", &id, b"\0", &secret])));
}

#[divan::bench]
fn compare_two_digests(bencher: Bencher<'_, '_>) {
    let (left, right) = ([7_u8; 32], [7_u8; 32]);
    bencher.bench(|| secret::same(black_box(&left), black_box(&right)));
}

#[divan::bench]
fn make_a_random_secret(bencher: Bencher<'_, '_>) {
    bencher.bench(secret::random_base62::<30>);
}

#[divan::bench]
fn make_a_serial_id(bencher: Bencher<'_, '_>) {
    let serials = provost::id::Serials::default();
    bencher.bench(|| serials.next(black_box(NOW)));
}
