//! Many users at once, of whom the stack is to know before a measurement begins.

use fanfare::domain::{
    AppId, Channel, Device, DeviceId, DeviceToken, Edit, Platform, Profile, Tag, Timestamp, User, UserId,
};
use fanfare::store::{Admission, ContactStore, StoreError, UserStore};
use futures::{TryStreamExt, stream};

use crate::Stack;
use crate::stack::SDK_APP_ID;

/// Users who are known, and registered, side by side.
const AT_ONCE: usize = 16;

impl Stack {
    /// Makes so many users of the demo app, each with all the tags and with the devices that `devices` gives it by its
    /// number. Written by the store, since calls would take their time.
    pub async fn populate(&self, users: u32, tags: &[&str], devices: impl Fn(u32) -> Vec<Device>) {
        let (client, tables) = self.store().await;
        let (store, contacts) =
            (UserStore::new(client.clone(), &tables.audience), ContactStore::new(client, &tables.audience));
        let app = AppId::try_from(SDK_APP_ID.to_string()).unwrap();
        let ids: Vec<UserId> = (0..users).map(|n| UserId::try_from(format!("user{n:07}")).unwrap()).collect();
        let tags = Edit::AddTags(tags.iter().map(|tag| Tag::try_from((*tag).to_owned()).unwrap()).collect());
        for ids in ids.chunks(100) {
            let imported: Vec<_> = ids.iter().map(|id| (id.clone(), Profile::default())).collect();
            store.import(&app, &imported, &Admission::default()).await.unwrap();
            let edits: Vec<_> = ids.iter().map(|id| (id.clone(), tags.clone())).collect();
            store.edit(&app, &edits).await.unwrap();
        }
        let known = store.get(&app, &ids).await.unwrap();
        let register = async |user: &User| {
            for device in devices(user.ordinal.0) {
                contacts.register(&app, user, device).await?;
            }
            Ok(())
        };
        let known = stream::iter(known.values().map(Ok::<_, StoreError>));
        known.try_for_each_concurrent(AT_ONCE, register).await.unwrap();
    }

    /// A phone that has registered just now, whose owner reads English.
    pub fn phone(&self, name: &str, channel: Channel, token: &str) -> Device {
        let now = Timestamp::from_secs(self.now());
        Device {
            id: DeviceId::try_from(name).unwrap(),
            platform: if channel == Channel::Apns { Platform::Ios } else { Platform::Android },
            channel,
            token: DeviceToken::new(token),
            package: Some("com.example.app".to_owned()),
            push_enabled: true,
            language: Some("en".to_owned()),
            registered_at: now,
            active_at: now,
        }
    }
}
