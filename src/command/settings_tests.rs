//! Tables of lines on settings and files, and what they mean.
