//! Tests of listing branches and objects.

use super::harness::Lake;

async fn filled() -> Lake {
    let lake = Lake::new().await;
    for path in ["a/1", "a/2", "b c", "d", "folder/"] {
        lake.put(&format!("/lake/main/{path}"), "x").await;
    }
    lake.catalog
        .create_branch(&lake.repository, "dev", "main", false, false, "admin")
        .await
        .unwrap();
    lake
}

#[tokio::test]
async fn root_lists_branches_as_folders() {
    let lake = filled().await;
    for query in ["list-type=2", "list-type=2&delimiter=/", "", "delimiter=/"] {
        let response = lake.get(&format!("/lake?{query}")).await;
        assert_eq!(
            response.all("CommonPrefixes"),
            "<Prefix>dev/</Prefix> <Prefix>main/</Prefix>",
            "{query}"
        );
        assert_eq!(response.all("IsTruncated"), "false");
    }
    assert_eq!(lake.get("/lake?list-type=2").await.all("KeyCount"), "2");
    assert_eq!(lake.get("/lake").await.all("KeyCount"), "0");
    assert_eq!(
        lake.get("/lake?list-type=2&prefix=ma")
            .await
            .all("CommonPrefixes"),
        "<Prefix>main/</Prefix>"
    );
    let page = lake.get("/lake?list-type=2&max-keys=1").await;
    assert_eq!(
        (
            page.all("CommonPrefixes").as_str(),
            page.all("IsTruncated").as_str()
        ),
        ("<Prefix>dev/</Prefix>", "true")
    );
    let next = lake
        .get(&format!(
            "/lake?list-type=2&continuation-token={}",
            page.all("NextContinuationToken")
        ))
        .await;
    assert_eq!(next.all("CommonPrefixes"), "<Prefix>main/</Prefix>");
}

#[tokio::test]
async fn every_page_size_lists_the_same_keys() {
    let lake = filled().await;
    let all = "main/a/1 main/a/2 main/b c main/d main/folder/";
    assert_eq!(
        lake.get("/lake?list-type=2&prefix=main/").await.all("Key"),
        all
    );
    assert_eq!(lake.get("/lake?prefix=main/").await.all("KeyCount"), "5");
    for size in 1..=6 {
        let (mut keys, mut token) = (Vec::new(), String::new());
        loop {
            let page = lake
                .get(&format!(
                    "/lake?list-type=2&prefix=main/&max-keys={size}{token}"
                ))
                .await;
            keys.push(page.all("Key"));
            if page.all("IsTruncated") == "false" {
                break;
            }
            assert_eq!(page.all("KeyCount"), size.to_string());
            token = format!("&continuation-token={}", page.all("NextContinuationToken"));
        }
        assert_eq!(keys.join(" "), all);
    }
}

#[tokio::test]
async fn delimiter_groups_keys() {
    let lake = filled().await;
    for version in ["list-type=2&", ""] {
        let folded = lake
            .get(&format!("/lake?{version}prefix=main/&delimiter=/"))
            .await;
        assert_eq!(
            folded.all("CommonPrefixes"),
            "<Prefix>main/a/</Prefix> <Prefix>main/folder/</Prefix>"
        );
        assert_eq!(folded.all("Key"), "main/b c main/d");
        assert_eq!(folded.all("KeyCount"), "4");
    }
}

#[tokio::test]
async fn next_marker_may_be_a_common_prefix() {
    let lake = filled().await;
    let page = lake.get("/lake?prefix=main/&delimiter=/&max-keys=1").await;
    assert_eq!(page.all("NextMarker"), "main/a/");
    let next = lake
        .get("/lake?prefix=main/&delimiter=/&max-keys=1&marker=main/a/")
        .await;
    assert_eq!(
        (
            next.all("CommonPrefixes").as_str(),
            next.all("Key").as_str()
        ),
        ("", "main/b c")
    );
    // As in S3, only listings with a delimiter have a next marker.
    let plain = lake.get("/lake?prefix=main/&max-keys=1").await;
    assert_eq!(plain.all("NextMarker"), "");
}

#[tokio::test]
async fn listing_starts_after_the_marker() {
    let lake = filled().await;
    for (query, expected) in [
        // `get` escapes its target, so this key contains a percent sign, which follows the space of `b c`.
        (
            "list-type=2&prefix=main/&start-after=main/b%20c",
            "main/d main/folder/",
        ),
        (
            "list-type=2&prefix=main/&start-after=main/b c",
            "main/d main/folder/",
        ),
        ("prefix=main/&marker=main/d", "main/folder/"),
    ] {
        let page = lake.get(&format!("/lake?{query}")).await;
        assert_eq!(page.all("Key"), expected, "{query}");
    }
}

#[tokio::test]
async fn prefix_may_end_within_a_path() {
    let lake = filled().await;
    let page = lake.get("/lake?list-type=2&prefix=main/a/").await;
    assert_eq!(page.all("Key"), "main/a/1 main/a/2");
}

#[tokio::test]
async fn page_without_keys_is_complete() {
    let lake = filled().await;
    let none = lake.get("/lake?list-type=2&prefix=main/&max-keys=0").await;
    assert_eq!(
        (
            none.all("IsTruncated").as_str(),
            none.all("KeyCount").as_str()
        ),
        ("false", "0")
    );
}

#[tokio::test]
async fn keys_are_encoded_on_request() {
    let lake = filled().await;
    let encoded = lake
        .get("/lake?list-type=2&prefix=main/b&encoding-type=url")
        .await;
    assert_eq!(
        (
            encoded.all("Key").as_str(),
            encoded.all("EncodingType").as_str()
        ),
        ("main/b%20c", "url")
    );
}

#[tokio::test]
async fn malformed_parameters_of_listings_are_refused() {
    let lake = filled().await;
    for (query, expected) in [
        ("list-type=2&prefix=main/&max-keys=x", "400 InvalidArgument"),
        (
            "list-type=2&prefix=main/&max-keys=-1",
            "400 InvalidArgument",
        ),
        ("list-type=2&prefix=main~x/", "400 BadRequest"),
        ("prefix=main~x/", "400 BadRequest"),
        (
            "list-type=2&prefix=main/&continuation-token=!",
            "400 InvalidArgument",
        ),
        (
            "list-type=2&prefix=main/&encoding-type=x",
            "400 InvalidArgument",
        ),
    ] {
        let refused = lake.get(&format!("/lake?{query}")).await;
        assert_eq!(refused.outcome(), expected, "{query}");
    }
}

#[tokio::test]
async fn missing_repository_cannot_be_listed() {
    let lake = Lake::new().await;
    assert_eq!(
        lake.get("/none?list-type=2").await.outcome(),
        "404 NoSuchBucket"
    );
}

/// Guards against a bug: the listing left out the branch whose name is the marker, although `main/` follows `main`.
#[tokio::test]
async fn branch_follows_its_name() {
    let lake = filled().await;
    for (query, expected, truncated) in [
        ("list-type=2&delimiter=/&start-after=main", "main/", "false"),
        ("list-type=2&delimiter=/&start-after=main/", "", "false"),
        ("delimiter=/&marker=dev", "dev/ main/", "false"),
        ("delimiter=/&marker=dev&max-keys=1", "dev/", "true"),
        ("delimiter=/&marker=dev&prefix=m", "main/", "false"),
        ("delimiter=/&marker=devil", "main/", "false"),
        ("delimiter=/&marker=de~vil", "main/", "false"),
    ] {
        let page = lake.get(&format!("/lake?{query}")).await;
        let folders = page.all("CommonPrefixes");
        let folders = folders.replace("<Prefix>", "").replace("</Prefix>", "");
        assert_eq!(folders, expected, "{query}");
        assert_eq!(page.all("IsTruncated"), truncated, "{query}");
    }
    let first = lake.get("/lake?delimiter=/&marker=dev&max-keys=1").await;
    let marker = first.all("NextMarker");
    let next = lake
        .get(&format!("/lake?delimiter=/&marker={marker}"))
        .await;
    assert_eq!(next.all("CommonPrefixes"), "<Prefix>main/</Prefix>");
}

/// Guards against a bug: such a listing was refused with 400. S3 compares whole keys.
#[tokio::test]
async fn listing_may_start_outside_its_prefix() {
    let lake = filled().await;
    let all = lake.get("/lake?list-type=2&prefix=main/").await.all("Key");
    assert!(!all.is_empty());
    for (query, expected) in [
        ("list-type=2&prefix=main/&start-after=dev/a", all.as_str()),
        ("prefix=main/&marker=dev/a", all.as_str()),
        ("list-type=2&prefix=main/&start-after=main", all.as_str()),
        ("list-type=2&prefix=main/&delimiter=/&start-after=zzz/", ""),
        ("prefix=main/&marker=main0", ""),
    ] {
        let page = lake.get(&format!("/lake?{query}")).await;
        assert_eq!(page.outcome(), "200", "{query}");
        assert_eq!(page.all("Key"), expected, "{query}");
        assert_eq!(page.all("IsTruncated"), "false", "{query}");
    }
}

/// Clients list a prefix before they write to it, so an unknown branch must not be an error.
#[tokio::test]
async fn unknown_branch_lists_as_an_empty_prefix() {
    let lake = filled().await;
    for query in [
        "list-type=2&prefix=none/",
        "list-type=2&prefix=none/a&delimiter=/",
        "list-type=2&prefix=none/&start-after=none/a",
        "prefix=none/",
        "prefix=none/&delimiter=/&marker=none/a",
    ] {
        let empty = lake.get(&format!("/lake?{query}")).await;
        assert_eq!(empty.outcome(), "200", "{query}");
        assert_eq!(
            (
                empty.all("Key").as_str(),
                empty.all("KeyCount").as_str(),
                empty.all("IsTruncated").as_str()
            ),
            ("", "0", "false"),
            "{query}"
        );
    }
    // A repository that does not exist is still an error.
    assert_eq!(
        lake.get("/none?list-type=2&prefix=none/").await.outcome(),
        "404 NoSuchBucket"
    );
}
