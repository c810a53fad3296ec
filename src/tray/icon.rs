//! The icon's images: one per mood, different in shape and not only in colour.

use crate::contract::platform::Platform;
use crate::tray::model::Mood;

/// An image in the form that the notification area takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    pub rgba: Vec<u8>,
    pub width: u32,
    pub height: u32,
}

/// The PNG for a mood. macOS colours a black template image itself; elsewhere a white rim keeps the icon visible on
/// light and dark panels.
pub fn png(mood: Mood, platform: Platform) -> &'static [u8] {
    match (mood, platform) {
        (Mood::Normal, Platform::MacOs) => include_bytes!("../../assets/icons/normal-template.png"),
        (Mood::Attention, Platform::MacOs) => include_bytes!("../../assets/icons/attention-template.png"),
        (Mood::Error, Platform::MacOs) => include_bytes!("../../assets/icons/error-template.png"),
        (Mood::Stopped, Platform::MacOs) => include_bytes!("../../assets/icons/stopped-template.png"),
        (Mood::Normal, _) => include_bytes!("../../assets/icons/normal.png"),
        (Mood::Attention, _) => include_bytes!("../../assets/icons/attention.png"),
        (Mood::Error, _) => include_bytes!("../../assets/icons/error.png"),
        (Mood::Stopped, _) => include_bytes!("../../assets/icons/stopped.png"),
    }
}

/// Decodes an 8-bit RGBA image.
///
/// # Errors
/// A description of the problem.
pub fn decode(png: &[u8]) -> Result<Picture, String> {
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().map_err(|error| error.to_string())?;
    let size = reader.output_buffer_size().ok_or("the picture is too large")?;
    let mut rgba = vec![0; size];
    let info = reader.next_frame(&mut rgba).map_err(|error| error.to_string())?;
    if (info.color_type, info.bit_depth) != (png::ColorType::Rgba, png::BitDepth::Eight) {
        return Err("the picture is not 8-bit RGBA".to_owned());
    }
    Ok(Picture {
        rgba,
        width: info.width,
        height: info.height,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shape of an image: which pixels are opaque.
    fn shape(mood: Mood, platform: Platform) -> Vec<bool> {
        let picture = decode(png(mood, platform)).unwrap();
        assert_eq!(picture.rgba.len(), (picture.width * picture.height * 4) as usize);
        picture.rgba.chunks(4).map(|pixel| pixel[3] > 127).collect()
    }

    #[test]
    fn moods_differ_in_shape() {
        let moods = [Mood::Normal, Mood::Attention, Mood::Error, Mood::Stopped];
        for (at, one) in moods.iter().enumerate() {
            for other in &moods[at + 1..] {
                assert_ne!(png(*one, Platform::Linux), png(*other, Platform::Linux));
                assert_ne!(shape(*one, Platform::MacOs), shape(*other, Platform::MacOs), "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn every_picture_can_be_decoded() {
        for mood in [Mood::Normal, Mood::Attention, Mood::Error, Mood::Stopped] {
            assert!(shape(mood, Platform::Linux).contains(&true));
        }
        assert!(decode(b"not a picture").is_err());
    }
}
