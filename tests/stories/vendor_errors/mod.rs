//! Each error of each vendor's table, injected: the outcome's class, what becomes of the device, whether and when it is
//! tried again, what the push's account says, and what the app's server is told.

mod codes;
mod play;
mod row;
mod sockets;
mod tables;

use play::{Theatre, play};
use tables::{APNS, FCM, HARMONY, HONOR, HUAWEI, MEIZU, OPPO, Table, VIVO, WEBPUSH, XIAOMI};

#[tokio::test]
async fn each_error_of_apple_google_and_browsers_has_its_outcome() {
    each_of(&[APNS, FCM, WEBPUSH]).await;
}

#[tokio::test]
async fn each_error_of_huawei_and_honor_has_its_outcome() {
    each_of(&[HUAWEI, HARMONY, HONOR]).await;
}

#[tokio::test]
async fn each_error_of_xiaomi_and_meizu_has_its_outcome() {
    each_of(&[XIAOMI, MEIZU]).await;
}

#[tokio::test]
async fn each_error_of_oppo_and_vivo_has_its_outcome() {
    each_of(&[OPPO, VIVO]).await;
}

async fn each_of(tables: &[Table]) {
    let theatre = &Theatre::open().await;
    for table in tables {
        play(theatre, table).await;
    }
}
