//! Draws the pictures of the sample data: a lake by day and by night, and a branch with its merge.

use std::io::{self, Write as _};

use bytes::Bytes;
use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

const WIDTH: usize = 320;
const HEIGHT: usize = 180;

type Colour = [u8; 3];

/// The colours of a landscape.
#[derive(Debug)]
struct Light {
    sky: Colour,
    sun: Colour,
    far: Colour,
    near: Colour,
    water: Colour,
    glint: Colour,
}

const DAY: Light = Light {
    sky: [222, 236, 246],
    sun: [250, 214, 120],
    far: [134, 160, 186],
    near: [74, 104, 110],
    water: [84, 148, 190],
    glint: [160, 204, 228],
};
const NIGHT: Light = Light {
    sky: [22, 30, 58],
    sun: [238, 238, 224],
    far: [40, 54, 88],
    near: [18, 28, 40],
    water: [30, 48, 84],
    glint: [96, 112, 150],
};
const PAPER: Colour = [250, 250, 246];
const MAIN: Colour = [52, 84, 140];
const BRANCH: Colour = [214, 112, 62];

/// An RGB picture with eight bits per colour.
#[derive(Debug)]
pub(super) struct Picture(Vec<Colour>);

impl Picture {
    fn plain(colour: Colour) -> Self {
        Self(vec![colour; WIDTH * HEIGHT])
    }

    fn set(&mut self, x: usize, y: usize, colour: Colour) {
        if x < WIDTH && y < HEIGHT {
            self.0[y * WIDTH + x] = colour;
        }
    }

    fn disc(&mut self, (x, y): (usize, usize), radius: usize, colour: Colour) {
        for down in y.saturating_sub(radius)..=y + radius {
            for right in x.saturating_sub(radius)..=x + radius {
                if right.abs_diff(x).pow(2) + down.abs_diff(y).pow(2) <= radius.pow(2) {
                    self.set(right, down, colour);
                }
            }
        }
    }

    /// Draws a line as a series of discs.
    fn line(&mut self, from: (usize, usize), to: (usize, usize), colour: Colour) {
        let steps = from.0.abs_diff(to.0).max(from.1.abs_diff(to.1)).max(1);
        for step in 0..=steps {
            let between = |from: usize, to: usize| (from * (steps - step) + to * step) / steps;
            self.disc((between(from.0, to.0), between(from.1, to.1)), 2, colour);
        }
    }

    /// Fills each column from the given height down to the bottom.
    fn ground(&mut self, height: impl Fn(usize) -> usize, colour: Colour) {
        for x in 0..WIDTH {
            for y in height(x)..HEIGHT {
                self.set(x, y, colour);
            }
        }
    }

    /// Encodes the picture as PNG.
    pub(super) fn png(&self) -> io::Result<Bytes> {
        let mut lines = ZlibEncoder::new(Vec::new(), Compression::best());
        for line in self.0.chunks(WIDTH) {
            // PNG filter type 0: the line is stored unfiltered.
            lines.write_all(&[0])?;
            lines.write_all(line.as_flattened())?;
        }
        let side = |length: usize| {
            u32::try_from(length)
                .expect("width and height are small")
                .to_be_bytes()
        };
        let mut header = [side(WIDTH), side(HEIGHT)].concat();
        // Eight bits per channel, RGB, default compression, filter and interlace methods.
        header.extend([8, 2, 0, 0, 0]);
        let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
        for (kind, content) in [
            (b"IHDR", header),
            (b"IDAT", lines.finish()?),
            (b"IEND", Vec::new()),
        ] {
            png.extend(side(content.len()));
            let mut check = Crc::new();
            check.update(kind);
            check.update(&content);
            png.extend(kind);
            png.extend(content);
            png.extend(check.sum().to_be_bytes());
        }
        Ok(Bytes::from(png))
    }
}

/// The height of a zigzag line between `top` and `bottom`.
fn ridge(x: usize, period: usize, top: usize, bottom: usize) -> usize {
    let at = x % period;
    let rise = at.min(period - at) * 2;
    bottom - rise * (bottom - top) / period
}

/// Draws mountains behind a lake, by day.
pub(super) fn lake() -> Picture {
    landscape(&DAY)
}

/// Draws the lake of [`lake`], by night.
pub(super) fn lake_at_night() -> Picture {
    landscape(&NIGHT)
}

fn landscape(light: &Light) -> Picture {
    let mut picture = Picture::plain(light.sky);
    picture.disc((250, 38), 18, light.sun);
    picture.ground(|x| ridge(x + 30, 120, 40, 96), light.far);
    picture.ground(|x| ridge(x + 75, 86, 78, 112), light.near);
    picture.ground(|_| 112, light.water);
    for (row, y) in (120..HEIGHT).step_by(9).enumerate() {
        for x in ((row % 3) * 17..WIDTH).step_by(52) {
            for right in 0..18 {
                picture.set(x + right, y, light.glint);
            }
        }
    }
    picture
}

/// Draws a line of commits, and a branch that merges back.
pub(super) fn branches() -> Picture {
    let mut picture = Picture::plain(PAPER);
    let commits = [40, 100, 160, 220, 280].map(|x| (x, 120));
    let changes = [(140, 60), (180, 60)];
    picture.line(commits[0], commits[4], MAIN);
    for (from, to) in [
        (commits[1], changes[0]),
        (changes[0], changes[1]),
        (changes[1], commits[3]),
    ] {
        picture.line(from, to, BRANCH);
    }
    for commit in commits {
        picture.disc(commit, 9, MAIN);
        picture.disc(commit, 5, PAPER);
    }
    for change in changes {
        picture.disc(change, 9, BRANCH);
        picture.disc(change, 5, PAPER);
    }
    picture
}
